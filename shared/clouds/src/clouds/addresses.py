"""Which addresses may be called at all: only a configured region's, and never one that leads inside by a trick.

A name is checked twice: as it is written in the settings, and each time it is resolved.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})
"""The ways to write loopback on purpose; every other way to reach it is refused."""

KNOWN_FOR = 60.0
"""Seconds for which a name is not looked up again."""

_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", re.IGNORECASE
)


def check_url(url: str, *, allow_private: bool) -> str:
    """The URL without its last slash; raises ValueError with what to write instead.

    Plain http is for loopback and private networks alone; ``allow_private`` also lets 10/8 and its like be called.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must be an http or https address such as https://zadara.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry user:password@; use username and password_env")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or a fragment")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS and not allow_private:
        raise ValueError("must be https; plain http needs loopback or allow_private")
    _ = parts.port  # raises ValueError when out of range
    _check_host(host, allow_private=allow_private)
    return url.rstrip("/")


def _check_host(host: str, *, allow_private: bool) -> None:
    if host in LOOPBACK_HOSTS:
        return
    try:
        address = ip_address(host)
    except ValueError:
        if not _NAME.match(host):
            raise ValueError("has a host that is neither a name nor a plain IP address") from None
        return
    check_address(address, allow_private=allow_private)


def check_address(address: IPv4Address | IPv6Address, *, allow_private: bool) -> None:
    """Raises ValueError for an address that no region may have, however it was reached."""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or _embedded(address) or address
    forbidden = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    private = not address.is_global and not forbidden
    if forbidden or (private and not allow_private):
        hint = "" if forbidden else "; allow_private permits private networks"
        raise ValueError(f"leads to {address}, which no region may have{hint}")


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The address behind a NAT64 gateway (64:ff9b::/96), or in the old form of ::/96."""
    prefix, last = divmod(int(address), 2**32)
    return IPv4Address(last) if prefix == 0x64FF9B << 64 or (prefix == 0 and last > 1) else None


class GuardedResolver:
    """Resolves one host, the configured one, and refuses it when an address of it is not allowed (DNS rebinding)."""

    def __init__(self, host: str, port: int, *, allow_private: bool) -> None:
        self._host = host
        self._port = port
        self._allow_private = allow_private
        self._known: Sequence[AddrInfoType] = ()
        self._until = 0.0

    async def resolve(self) -> Sequence[AddrInfoType]:
        """Where to connect, looked up again after a minute. Raises OSError."""
        if monotonic() < self._until:
            return self._known
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        if self._host not in LOOPBACK_HOSTS:
            for *_, address in found:
                try:
                    check_address(ip_address(address[0]), allow_private=self._allow_private)
                except ValueError as wrong:
                    raise OSError(f"{self._host} {wrong}") from wrong
        self._known, self._until = found, monotonic() + KNOWN_FOR
        return found
