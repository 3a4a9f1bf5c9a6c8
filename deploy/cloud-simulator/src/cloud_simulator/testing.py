"""A simulator of one's own for a test suite: a real process on a free port of the loopback interface.

@pytest.fixture
async def cloud() -> AsyncIterator[RunningSimulator]:
    async with running_simulator() as simulator:
        yield simulator
"""

import asyncio
import json
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cloud_simulator.settings import Settings

_PORTS = range(20000, 32768)  # below the ports that the kernel hands to clients
_STOP_WITHIN_S = 5
_STARTS = 3


@dataclass(frozen=True)
class RunningSimulator:
    """Where it is, who may use it, and its own interface. `url` ends before `/api/v2`."""

    url: str
    settings: Settings
    _client: httpx.AsyncClient

    @property
    def account(self) -> str:
        """The first account's name."""
        return self.settings.accounts[0]

    def settings_of_a_worker(self, folder: Path) -> dict[str, str]:
        """The environment of a process that knows this cloud as region `here`; its regions file is written there."""
        region = {"code": "here", "name": "Here", "provider": "zadara", "url": self.url, "account": self.account}
        region |= {"username": self.settings.username, "password_env": "CLOUD_SECRET"}
        file = folder / "regions.json"
        file.write_text(json.dumps([region]))
        return {"CLOUD_REGIONS_FILE": str(file), "CLOUD_SECRET": self.settings.password}

    async def behave(self, **changes: Any) -> dict[str, Any]:
        """Changes the named fields; answers the whole behaviour. Raises httpx.HTTPStatusError for an unknown one."""
        answer: dict[str, Any] = await self._ask("PUT", "behaviour", changes)
        return answer

    async def stats(self) -> dict[str, Any]:
        """Counts of calls and objects."""
        answer: dict[str, Any] = await self._ask("GET", "stats")
        return answer

    async def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that the cloud holds, without secrets."""
        answer: dict[str, list[dict[str, Any]]] = await self._ask("GET", "objects")
        return answer

    async def reset(self) -> None:
        """Objects, counts and behaviour as at the start."""
        await self._ask("POST", "reset")

    async def authenticates(self, access_key: str, secret_key: str) -> bool:
        """Whether the pair gives access: it is known, and its user has a role and a policy."""
        pair = {"access_key": access_key, "secret_key": secret_key}
        answer = await self._client.post("/_sim/authenticate", json=pair)
        return answer.status_code == 200

    async def _ask(self, method: str, name: str, body: Any = None) -> Any:
        answer = await self._client.request(method, f"/_sim/{name}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@asynccontextmanager
async def running_simulator(**settings: Any) -> AsyncIterator[RunningSimulator]:
    """Starts one with these settings (named as in `Settings`), and ends it with the block.

    Raises RuntimeError where it does not start; what it said is on stderr.
    """
    chosen, process = await _start(settings)
    try:
        url = f"http://{chosen.host}:{chosen.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield RunningSimulator(url, chosen, client)
    finally:
        await _stop(process)


async def _start(settings: dict[str, Any]) -> tuple[Settings, asyncio.subprocess.Process]:
    """Tries another port where somebody took the first one between the look and the start."""
    for _ in range(_STARTS):
        chosen = Settings(**{"port": free_port()} | settings)
        values = chosen.model_dump() | {"accounts": ",".join(chosen.accounts)}
        environment = {f"SIMULATOR_{name.upper()}": str(value) for name, value in values.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cloud_simulator"),
            env=os.environ | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for above
        said = await process.stdout.readline()
        if said and json.loads(said)["event"] == "simulator.listening":
            return chosen, process
        await process.wait()
    raise RuntimeError(f"the cloud simulator did not start, exit code {process.returncode}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now. Raises OSError where all tried are taken."""
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found between 20000 and 32767")
