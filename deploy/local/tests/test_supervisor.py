import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local import processes
from local.readiness import NotReadyError, Subject, wait
from local.supervisor import Program, Supervisor

SLEEPER = Program("sleeper", ["sleep", "1000"], {"COLOUR": "50% blue, 50% red"})


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor that runs one sleeping process."""
    running = Supervisor(tmp_path)
    running.configure([SLEEPER])
    running.start("sleeper")
    until(lambda: pid(tmp_path) is not None)
    yield running
    if running.is_running():
        running.shut_down()


def pid(directory: Path) -> int | None:
    """The process that the pid file names, if it lives and is what it should be."""
    try:
        number = int((directory / "sleeper.pid").read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    return number if words.startswith(b"sleep") else None


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_pid_file_holds_the_worker_after_each_restart(supervisor: Supervisor, tmp_path: Path) -> None:
    """A killed process comes back, and the file names the new one, not a shell."""
    first = pid(tmp_path)
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: pid(tmp_path) not in {None, first})


def test_settings_reach_the_process(supervisor: Supervisor, tmp_path: Path) -> None:
    """Spaces, commas and per cent signs in a setting arrive as they are."""
    environment = Path(f"/proc/{pid(tmp_path)}/environ").read_bytes().split(b"\0")
    assert b"COLOUR=50% blue, 50% red" in environment


def test_the_same_programs_again_change_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    """What is unchanged keeps running; what has changed is started anew; what is gone ends."""
    first = pid(tmp_path)
    supervisor.configure([SLEEPER])
    assert not supervisor.start("sleeper")
    assert pid(tmp_path) == first
    supervisor.configure([Program("sleeper", ["sleep", "1001"])])
    assert supervisor.start("sleeper")
    until(lambda: pid(tmp_path) not in {None, first})
    supervisor.configure([])
    assert supervisor.overview() == []


@pytest.mark.parametrize("at_once", [True, False])
def test_shutting_down_leaves_no_process(supervisor: Supervisor, tmp_path: Path, at_once: bool) -> None:
    """Gracefully or by force, nothing that bears the stack's mark is left."""
    supervisor.shut_down(at_once=at_once)
    assert processes.find(tmp_path) == set()


def test_orphans_of_a_killed_supervisor_are_found_and_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    """A supervisor that was killed leaves its processes; they are ended by their mark."""
    os.kill(int((tmp_path / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: len(processes.find(tmp_path)) == 1)
    processes.end(tmp_path)
    assert pid(tmp_path) is None


def test_what_gives_up_is_reported_with_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    """A process that doesn't serve is named with its state and what it said last."""

    def never() -> None:
        raise OSError("refused")

    (tmp_path / "logs" / "sleeper.log").write_text("setting COLOUR: unknown\n")
    with pytest.raises(NotReadyError, match=r"(?s)sleeper is not ready.*setting COLOUR: unknown.*refused"):
        wait(never, (OSError,), Subject(supervisor, "sleeper"), patience=0)
