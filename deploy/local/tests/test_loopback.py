"""A private stack is nobody else's: what it listens at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local import processes
from local.endpoints import Endpoints
from local.stack import Stack

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
"""127.0.0.1 and ::1 as /proc/net has them."""


def listeners(pids: set[int]) -> Iterator[tuple[int, str, int]]:
    """Process, address and port of each listening TCP socket that one of these processes holds."""
    for pid in pids:
        inodes = {link.name for link in sockets(pid)}
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                address, port = fields[1].split(":")
                if fields[3] == LISTENING and fields[9] in inodes:
                    yield pid, address, int(port, 16)


def sockets(pid: int) -> Iterator[Path]:
    """The inode of each open socket, as a path's name."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield Path(target[len("socket:[") : -1])


@pytest.fixture
def pids(test_stack: Stack, endpoints: Endpoints) -> set[int]:
    """The processes of database and broker, Erlang's port mapper among them."""
    if not (endpoints.private_database and endpoints.private_broker):
        pytest.skip("the environment names servers of its own")
    return processes.find(test_stack.directory)


def test_nothing_of_it_listens_beyond_this_machine(pids: set[int]) -> None:
    """Neither AMQP and management nor Erlang's distribution and its port mapper, which listen everywhere by default."""
    found = list(listeners(pids))
    assert len({port for _, _, port in found}) >= 5
    assert [each for each in found if each[1] not in LOOPBACK] == []
    assert max(port for _, _, port in found) < 32768
