"""Which addresses may be called at all: only a configured region's, and never one that leads inside by a trick.

A name is checked twice: as it is written in the settings, and each time it is resolved.
"""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})
"""The ways to write loopback on purpose; every other way to reach it is refused."""

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
        address = address.ipv4_mapped or address.sixtofour or address
    forbidden = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    private = not address.is_global and not forbidden
    if forbidden or (private and not allow_private):
        hint = "" if forbidden else "; allow_private permits private networks"
        raise ValueError(f"leads to {address}, which no region may have{hint}")


class GuardedResolver(AbstractResolver):
    """Resolves the one configured host and refuses it when its address is not allowed (DNS rebinding)."""

    def __init__(self, host: str, *, allow_private: bool) -> None:
        self._host = host
        self._allow_private = allow_private
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != self._host:
            raise OSError(f"{host} is not the configured host")
        answers = await self._resolver.resolve(host, port, family)
        if host not in LOOPBACK_HOSTS:
            for answer in answers:
                try:
                    check_address(ip_address(answer["host"]), allow_private=self._allow_private)
                except ValueError as wrong:
                    raise OSError(f"{host} {wrong}") from wrong
        return answers

    async def close(self) -> None:
        await self._resolver.close()
