"""Waits until a process serves, and says what its log says where it does not."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from local.supervisor import Supervisor

PATIENCE = 60.0
"""Seconds until a process counts as not getting ready."""

BACKOFF_PATIENCE = 10.0
"""Seconds for which a process may end again and again before that counts as not getting ready."""

LOG_LINES = 20


class NotReadyError(Exception):
    """A process does not serve; the message has its state and its log's last lines."""


@dataclass(frozen=True)
class Subject:
    """A process that is waited for."""

    supervisor: Supervisor
    name: str

    def has_given_up(self, seconds: float) -> bool:
        """Whether it is no longer kept running, or after these seconds still ends as soon as it starts."""
        state = self.supervisor.state(self.name)
        return state in {"FATAL", "EXITED", "STOPPED"} or (state == "BACKOFF" and seconds > BACKOFF_PATIENCE)

    def report(self) -> str:
        """Its state and the end of its log."""
        log = self.supervisor.log(self.name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        head = f"{self.name} is not ready (state {self.supervisor.state(self.name)}). The end of {log}:"
        return "\n".join([head, *(f"  {line}" for line in lines or ["(empty)"])])


def wait(
    ask: Callable[[], None], not_yet: tuple[type[Exception], ...], subject: Subject, patience: float = PATIENCE
) -> None:
    """Asks until the answer is no error of these kinds, and says how long it took.

    Raises:
        NotReadyError: the process has given up, or the patience (seconds) has.
    """
    begin = time.monotonic()
    while True:
        try:
            ask()
        except not_yet as error:
            waited = time.monotonic() - begin
            if waited > patience or subject.has_given_up(waited):
                raise NotReadyError(f"{subject.report()}\nThe last answer: {error!r}") from error
            time.sleep(0.1)
        else:
            print(f"  {subject.name:<20} ready  {time.monotonic() - begin:5.1f} s", flush=True)
            return


def wait_listening(port: int, subject: Subject) -> None:
    """Waits until something accepts connections on a loopback port."""

    def connect() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()

    wait(connect, (OSError,), subject)
