"""The sockets of this replica and the channels that they watch: who is told what, and how many may come."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client import Gauge

from project_api.auth.tokens import Principal
from project_api.push import protocol
from project_api.push.news import News, View, again, current, late_step, news, reminder
from project_api.push.protocol import Code
from project_api.push.socket import DELAY, FRAMES, Socket
from project_api.push.transport import encode

SOCKETS = Gauge("uca_push_sockets", "Sockets open in this replica")
UNUSED = Gauge("uca_push_unused_sockets", "Sockets open in this replica that watch nothing")


class Limits(NamedTuple):
    """How many sockets one replica takes."""

    total: int
    per_address: int
    per_user: int
    channels: int
    """Channels that one socket may watch."""


@dataclass
class Channel:
    """A project's watchers in this replica, all of whom were told up to ``view``; ``joining`` are about to be."""

    identifier: str
    view: View | None = None
    sockets: set[Socket] = field(default_factory=set)
    joining: int = 0
    reminded_of: tuple[int, str] | None = None
    """The run and step of which the watchers were told that it is overdue."""

    @property
    def name(self) -> str:
        return protocol.channel_of(self.identifier)


class Registry:
    """Everything here happens at once, between two awaits of the loop: so nobody misses news while they join."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sockets: dict[str, Socket] = {}
        self.channels: dict[str, Channel] = {}
        self._by_address: defaultdict[str, int] = defaultdict(int)
        self._by_user: defaultdict[int, dict[Socket, None]] = defaultdict(dict)
        """Each user's sockets, the oldest first."""

    def open(self, socket: Socket) -> str | None:
        """Takes a socket in, or says why there is no room for it."""
        if len(self.sockets) >= self.limits.total:
            return "This server has as many sockets as it takes."
        if self._by_address[socket.address] >= self.limits.per_address:
            return "Your address has as many sockets as it may."
        self.sockets[socket.id] = socket
        self._by_address[socket.address] += 1
        SOCKETS.inc()
        UNUSED.inc()
        return None

    def close(self, socket: Socket) -> None:
        """Forgets a socket that is gone."""
        if self.sockets.pop(socket.id, None) is None:
            return
        for name in list(socket.watching):
            self.leave(socket, name)
        for user in socket.users:
            del self._by_user[user][socket]
            if not self._by_user[user]:
                del self._by_user[user]
        self._by_address[socket.address] -= 1
        if not self._by_address[socket.address]:
            del self._by_address[socket.address]
        SOCKETS.dec()
        UNUSED.dec()

    @contextmanager
    def joining(self, identifier: str) -> Iterator[Channel]:
        """Follows a channel's news while its current view is read for somebody who is to :meth:`join`."""
        channel = self.channels.setdefault(identifier, Channel(identifier))
        channel.joining += 1
        try:
            yield channel
        finally:
            channel.joining -= 1
            self._forget_if_unused(channel)

    def join(self, socket: Socket, channel: Channel, principal: Principal, read: View) -> None:
        """Makes a socket a watcher and tells it the newest view, the one that was read or one that came meanwhile."""
        self.tell(read)
        self._count_for(principal.user_id, socket)
        if not socket.watching:
            UNUSED.dec()
        socket.watching[channel.name] = principal
        socket.answer(protocol.subscribed(channel.name))
        _send(channel, current(channel.view or read, datetime.now(UTC)), [socket])
        channel.sockets.add(socket)

    def leave(self, socket: Socket, name: str) -> None:
        """Ends one subscription, where there is one."""
        identifier = protocol.identifier_of(name)
        if socket.watching.pop(name, None) is None or identifier is None:
            return
        if not socket.watching:
            socket.unused_since = time.monotonic()
            UNUSED.inc()
        channel = self.channels[identifier]
        channel.sockets.discard(socket)
        self._forget_if_unused(channel)

    def expel(self, socket: Socket, name: str) -> None:
        """Ends one subscription that its owner may no longer have; the socket stays open."""
        if name in socket.watching:
            self.leave(socket, name)
            socket.answer(protocol.error(Code.UNAUTHORIZED, "You may not watch this project any more.", name))

    def tell(
        self, now: View, moved: Collection[str] = (), committed_at: datetime | None = None, *, known_too: bool = False
    ) -> None:
        """Tells a project's watchers a view that is newer than what they know; ``known_too``: or is just that."""
        channel = self.channels.get(now.identifier)
        if channel is None:
            return
        before, at = channel.view, datetime.now(UTC)
        if before is None or now.position > before.position:
            items = news(before, now, moved, at)
        elif known_too and now.position == before.position:
            items = again(now, at)
        else:
            return
        channel.view = now
        _send(channel, items, channel.sockets, committed_at)

    def remind(self) -> None:
        """Tells the watchers of each step that has become overdue, once."""
        at = datetime.now(UTC)
        for channel in self.channels.values():
            late = late_step(channel.view, at) if channel.view else None
            if channel.view and late and channel.reminded_of != (channel.view.run, late):
                channel.reminded_of = channel.view.run, late
                _send(channel, reminder(channel.view, at), channel.sockets)

    def _count_for(self, user_id: int, socket: Socket) -> None:
        """The oldest of a user's sockets makes room: most likely a page left behind."""
        sockets = self._by_user[user_id]
        if socket not in sockets and len(sockets) >= self.limits.per_user:
            oldest = next(iter(sockets))
            oldest.end(Code.OVER_QUOTA, "You have more sockets than you may; this one was the oldest.")
            oldest.users.discard(user_id)
            del sockets[oldest]
        sockets[socket] = None
        socket.users.add(user_id)

    def _forget_if_unused(self, channel: Channel) -> None:
        if not channel.sockets and not channel.joining:
            self.channels.pop(channel.identifier, None)


def _send(
    channel: Channel, items: Sequence[News], sockets: Collection[Socket], committed_at: datetime | None = None
) -> None:
    """Sends news to sockets of the channel, encoded once for all of them."""
    if not sockets:
        return
    frames = b"".join(encode(protocol.frame(item.event, item.data, channel.name)) for item in items)
    true_since = committed_at.timestamp() if committed_at else None
    for socket in sockets:
        socket.send(frames)
        if true_since is not None:
            DELAY.observe(time.time() - true_since)
    for item in items:
        FRAMES.labels(item.event).inc(len(sockets))
