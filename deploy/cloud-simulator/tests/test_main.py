import asyncio
import os
import sys

import httpx
from cloud_simulator.testing import free_port, running_simulator


async def start(**environment: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "cloud_simulator")
    return await asyncio.create_subprocess_exec(*command, env=os.environ | environment, stdout=pipe, stderr=pipe)


async def test_a_wrong_setting_is_named() -> None:
    """It ends with 2 and says which variable is wrong."""
    process = await start(SIMULATOR_PORT="many", SIMULATOR_KEY_LIMIT="0")
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"SIMULATOR_PORT: " in said
    assert b"SIMULATOR_KEY_LIMIT: " in said


async def test_sigterm_ends_it_cleanly() -> None:
    """It exits with 0 and without a complaint, even while a call hangs."""
    port = free_port()
    process = await start(SIMULATOR_PORT=str(port))
    assert process.stdout is not None
    await process.stdout.readline()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=None) as client:
        await client.put("/_sim/behaviour", json={"hang_rate": 1})
        hanging = asyncio.create_task(client.get("/api/v2/identity/users"))
        while (await client.get("/_sim/stats")).json()["calls"]["total"] == 0:
            pass
        process.terminate()
        _, said = await process.communicate()
        await asyncio.wait([hanging])
    assert (process.returncode, said) == (0, b"")
    assert isinstance(hanging.exception(), httpx.RemoteProtocolError)


async def test_a_suite_may_run_several() -> None:
    """Each has a port and a cloud of its own."""
    async with running_simulator() as first, running_simulator(accounts=["north"]) as second:
        assert first.url != second.url
        assert [account["name"] for account in (await second.objects())["accounts"]] == ["north"]
