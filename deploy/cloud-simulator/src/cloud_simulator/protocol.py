"""uvicorn's HTTP protocol, with a way for the application to close a connection without a word.

ASGI has none, and a client must be tested against exactly that.
"""

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "simulator.connection"


class ClosableProtocol(HttpToolsProtocol):
    """Puts the connection's own `close` into the scope, and closes at shutdown even what is still being answered."""

    def on_message_begin(self) -> None:
        """Called once per request, before its headers are known."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"close": self.transport.close}}

    def shutdown(self) -> None:
        """A hanging call would otherwise hold up the end of the process."""
        self.transport.close()


def close_connection(scope: Scope) -> None:
    """The client sees the connection end before any answer; the application then receives `http.disconnect`."""
    scope["extensions"][_EXTENSION]["close"]()
