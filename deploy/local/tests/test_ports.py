import socket
from pathlib import Path

import pytest
from local import ports
from local.credentials import UnreadableError


def test_ports_stay_as_they_were(tmp_path: Path) -> None:
    """A second start gets the same ports, and a new name gets one beside them."""
    file = tmp_path / "ports.json"
    first = ports.allocate(file, ["amqp", "api"], in_use=False)
    second = ports.allocate(file, ["amqp", "api", "more"], in_use=False)
    assert first == {name: second[name] for name in first}
    assert len(set(second.values())) == 3
    assert all(ports.FIRST <= port < ports.LAST for port in second.values())


def test_a_port_that_a_stranger_took_is_replaced(tmp_path: Path) -> None:
    """What another program listens on now is given up, unless the stack itself runs and it is its own."""
    file = tmp_path / "ports.json"
    port = ports.allocate(file, ["amqp"], in_use=False)["amqp"]
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        assert ports.allocate(file, ["amqp"], in_use=True)["amqp"] == port
        assert ports.allocate(file, ["amqp"], in_use=False)["amqp"] != port


def test_half_a_file_is_made_anew_unless_the_stack_runs(tmp_path: Path) -> None:
    """Nothing listens at forgotten ports; those of a stack that runs nobody knows, so the words say to end it."""
    file = tmp_path / "ports.json"
    file.write_text('{"amqp": 2')
    with pytest.raises(UnreadableError, match=f"{file} is not whole.*make down"):
        ports.allocate(file, ["amqp"], in_use=True)
    chosen = ports.allocate(file, ["amqp"], in_use=False)
    assert ports.remembered(file) == chosen


def test_a_write_that_fails_leaves_the_ports_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced whole, or not at all: a disk that is full half way cuts nothing short."""
    file = tmp_path / "ports.json"
    before = ports.allocate(file, ["amqp"], in_use=False)
    monkeypatch.setattr(Path, "replace", _full)
    with pytest.raises(OSError, match="full"):
        ports.allocate(file, ["amqp", "api"], in_use=False)
    assert ports.remembered(file) == before


def _full(*_: object) -> None:
    raise OSError("the disk is full")
