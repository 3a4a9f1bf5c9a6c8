from pathlib import Path

from local.sharing import end_if_unused, shared
from local.stack import Stack
from local.supervisor import Program


def running(directory: Path) -> Stack:
    """A stack in which one process runs."""
    stack = Stack(directory, {})
    stack.supervisor.configure([Program("sleeper", ["sleep", "1000"])])
    stack.supervisor.start("sleeper")
    return stack


def test_the_last_session_ends_what_the_first_one_started(tmp_path: Path) -> None:
    """While one session still uses the stack, another's end leaves it running."""
    with shared(Stack(tmp_path, {})) as first:
        running(tmp_path)
        with shared(Stack(tmp_path, {})):
            pass
        assert first.supervisor.is_running()
    assert not first.supervisor.is_running()


def test_a_stack_that_ran_before_stays(tmp_path: Path) -> None:
    """What a person started, tests do not end."""
    stack = running(tmp_path)
    with shared(Stack(tmp_path, {})):
        pass
    assert stack.supervisor.is_running()
    stack.down(wipe=True)


def test_what_a_killed_session_left_is_ended_once_unused(tmp_path: Path) -> None:
    """`make down` ends a forgotten test stack, and not one that is in use."""
    with shared(Stack(tmp_path, {})) as stack:
        running(tmp_path)
        end_if_unused(Stack(tmp_path, {}))
        assert stack.supervisor.is_running()
    running(tmp_path)
    (tmp_path / "started-by-tests").touch()
    end_if_unused(Stack(tmp_path, {}))
    assert not stack.supervisor.is_running()
