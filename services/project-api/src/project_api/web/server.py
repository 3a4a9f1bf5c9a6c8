"""The HTTP listener: one process, bounded, and told when to stop by the service rather than by a signal of its own."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from backbone.runtime import fail
from backbone.settings import not_listening
from fastapi import FastAPI

from project_api.push import transport as push_transport
from project_api.settings import Settings
from project_api.web import transport

BACKLOG = 2048
WEBSOCKET_BYTES = 64 * 1024


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM is the service's."""

    def __init__(self, app: FastAPI, settings: Settings, draining: asyncio.Event) -> None:
        proxies = settings.forwarded_allow_ips
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                ssl_certfile=settings.api_tls_cert_file,
                ssl_keyfile=settings.api_tls_key_file,
                http=transport.Connection,
                ws=push_transport.Connection,
                ws_max_size=WEBSOCKET_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=None,  # push pings in its own protocol, which proves that the page's code still runs
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                limit_concurrency=settings.max_connections,
                backlog=BACKLOG,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=int(settings.drain_seconds),
            )
        )
        self._draining = draining

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    def stop(self) -> None:
        """Accepts nothing more and lets what is at work end; who waits for news is told to answer."""
        self._draining.set()
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """The listening socket; one that cannot be had ends the process with a word about it."""
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        return socket.create_server((settings.api_host, settings.api_port), family=family, backlog=BACKLOG)
    except OSError as error:
        fail(not_listening("API", settings.api_host, settings.api_port, error))
