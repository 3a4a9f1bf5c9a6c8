"""The Pusher protocol, version 7, without a network: frames in, frames out, and the signature of a subscription.

Source of names and codes: Pusher's protocol description, and what pusher-js does with them.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

ACTIVITY_SECONDS = 30
"""A client that hears nothing for this long sends a ping; told in the first frame."""

PONG_SECONDS = 30
"""How long a ping waits for its answer."""

_CHANNEL = re.compile(r"private-projects\.(?P<identifier>[A-Za-z0-9_-]{1,64})")
_SOCKET_ID = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}")


class Code(IntEnum):
    """Why an error is told or a socket closed.

    A client closed with a code below 4100 gives up, up to 4199 it comes back after a second, up to 4299 at once.
    """

    UNKNOWN_KEY = 4001
    OVER_QUOTA = 4004
    UNAUTHORIZED = 4009
    UNUSED = 4010
    OVER_CAPACITY = 4100
    TOKEN_ENDED = 4101
    TOO_SLOW = 4102
    UNAVAILABLE = 4103
    BAD_MESSAGE = 4200
    NO_PONG = 4201


class Ping(NamedTuple):
    """The client asks whether we are there."""


class Pong(NamedTuple):
    """The client is there."""


class Subscribe(NamedTuple):
    """The client wants to watch a channel and shows its signature."""

    channel: str
    auth: str


class Unsubscribe(NamedTuple):
    """The client has seen enough of a channel."""

    channel: str


class Refused(NamedTuple):
    """What arrived cannot be done; the client is told, and the socket stays open."""

    code: Code
    message: str


Message = Ping | Pong | Subscribe | Unsubscribe | Refused


def new_socket_id() -> str:
    """Two numbers, as clients expect, that no two replicas draw alike."""
    return f"{secrets.randbelow(10**9) + 1}.{secrets.randbelow(10**9) + 1}"


def is_socket_id(text: str) -> bool:
    """Whether this can be one of ours."""
    return _SOCKET_ID.fullmatch(text) is not None


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of this Origin was served under the name that the socket was asked for at."""
    scheme, separator, name = origin.lower().partition("://")
    return bool(separator) and scheme in ("http", "https") and name == host.lower() != ""


def channel_of(identifier: str) -> str:
    """The channel on which a project's watchers are told its news."""
    return f"private-projects.{identifier}"


def identifier_of(channel: str) -> str | None:
    """The project of a channel; None for every channel that does not exist here."""
    match = _CHANNEL.fullmatch(channel)
    return match["identifier"] if match else None


def sign(key: str, secret: str, socket_id: str, channel: str) -> str:
    """What the auth endpoint answers and the client shows when it subscribes."""
    digest = hmac.new(secret.encode(), f"{socket_id}:{channel}".encode(), hashlib.sha256).hexdigest()
    return f"{key}:{digest}"


def is_signed(auth: str, key: str, secret: str, socket_id: str, channel: str) -> bool:
    """Whether ``auth`` is the signature of this channel for this very socket; takes equally long for every answer."""
    shown = auth.encode(errors="backslashreplace")
    return hmac.compare_digest(shown, sign(key, secret, socket_id, channel).encode())


def parse(text: str) -> Message:
    """What a client says; anything that is not of the protocol is a :class:`Refused`."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return _bad("a frame must be a JSON object")
    if not isinstance(frame, dict) or not isinstance(frame.get("event"), str):
        return _bad('a frame must be a JSON object with an "event"')
    event = frame["event"]
    if read := _READERS.get(event):
        return read(_data(frame))
    if event.startswith("client-"):
        return Refused(Code.UNAUTHORIZED, "Client events are not accepted here.")
    return _bad("the event is not one of the protocol's")


def _data(frame: dict[str, Any]) -> dict[str, Any]:
    data = frame.get("data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            data = None
    return data if isinstance(data, dict) else {}


def _subscribe(data: dict[str, Any]) -> Message:
    channel, auth = data.get("channel"), data.get("auth", "")
    if not isinstance(channel, str) or not isinstance(auth, str):
        return _bad('"data" must hold "channel" and "auth", both text')
    if identifier_of(channel) is None:
        return Refused(Code.UNAUTHORIZED, "There is no such channel; a project's is private-projects.{identifier}.")
    return Subscribe(channel, auth)


def _unsubscribe(data: dict[str, Any]) -> Message:
    channel = data.get("channel")
    return Unsubscribe(channel) if isinstance(channel, str) else _bad('"data" must name a "channel"')


_READERS: Mapping[str, Callable[[dict[str, Any]], Message]] = {
    "pusher:ping": lambda _: Ping(),
    "pusher:pong": lambda _: Pong(),
    "pusher:subscribe": _subscribe,
    "pusher:unsubscribe": _unsubscribe,
}


def _bad(words: str) -> Refused:
    return Refused(Code.BAD_MESSAGE, f"Bad message: {words}.")


def frame(event: str, data: str, channel: str | None = None) -> str:
    """One frame to a client; ``data`` is JSON already, and travels as a string."""
    content = {"event": event, "data": data} if channel is None else {"event": event, "channel": channel, "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def established(socket_id: str) -> str:
    """The first frame of a socket."""
    data = {"socket_id": socket_id, "activity_timeout": ACTIVITY_SECONDS}
    return frame("pusher:connection_established", json.dumps(data, separators=(",", ":")))


def subscribed(channel: str) -> str:
    """The client watches the channel from here on."""
    return frame("pusher_internal:subscription_succeeded", "{}", channel)


def error(code: Code, message: str, channel: str | None = None) -> str:
    """What was wrong; with ``channel``, that one has ended for this client."""
    return frame("pusher:error", json.dumps({"code": int(code), "message": message}, ensure_ascii=False), channel)


PING = frame("pusher:ping", "{}")
PONG = '{"event":"pusher:pong"}'
