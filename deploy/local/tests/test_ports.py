import socket
from pathlib import Path

from local import ports


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
