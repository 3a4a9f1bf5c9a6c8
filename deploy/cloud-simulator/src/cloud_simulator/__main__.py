"""Starts the simulator: one process, one event loop, until SIGTERM or Ctrl-C."""

import signal
import sys

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from cloud_simulator.control import control
from cloud_simulator.protocol import ClosableProtocol
from cloud_simulator.provider import Provider
from cloud_simulator.settings import Settings
from cloud_simulator.simulator import Simulator

_BACKLOG = 2048


def application(settings: Settings) -> ASGIApp:
    """The provider, and beside it the simulator's own interface."""
    simulator = Simulator(settings)
    provider, own_interface = Provider(simulator), control(simulator)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        answers = own_interface if scope["path"].startswith("/_sim/") else provider
        await answers(scope, receive, send)

    return dispatch


def main() -> None:
    """Console script. Exits 2 for a wrong setting, which it names, and 0 when told to end."""
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "SIMULATOR_" + "_".join(map(str, problem["loc"])).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        sys.exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    serve(settings)


def serve(settings: Settings) -> None:
    """Returns when told to end. Says that it listens once a connection would be accepted."""
    config = uvicorn.Config(
        application(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    listener = config.bind_socket()
    listener.listen(_BACKLOG)
    structlog.get_logger().info("simulator.listening", url=f"http://{settings.host}:{settings.port}")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
