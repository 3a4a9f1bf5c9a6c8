"""The owner's frontend at work: its calls, in its order, with its payloads, in a browser."""

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
PATIENCE = 240.0


@pytest.fixture
async def refusing(environment: dict[str, str]) -> AsyncIterator[str]:
    """The simulated cloud, which refuses one administrator until it is told otherwise; its address."""
    async with httpx.AsyncClient(base_url=environment["UCA_SIMULATOR_URL"]) as simulator:
        await simulator.put("/_sim/behaviour", json={"fail_emails": ["alan@uca.example"]})
        yield environment["UCA_SIMULATOR_URL"]
        await simulator.put("/_sim/behaviour", json={"fail_emails": []})


async def test_the_owners_frontend_works_unchanged(
    environment: dict[str, str], refusing: str, node: str, chromium: str, packages: Path
) -> None:
    """List, create with member_user_ids, poll, listen with Echo, retry, delete: each answer is as it reads."""
    shutil.copy(HERE / "owner.mjs", packages)
    config = {
        "executable": chromium,
        "origin": environment["UCA_API_URL"],
        "token": environment["UCA_ADMIN_TOKEN"],
        "key": environment["UCA_PUSH_KEY"],
        "simulator": refusing,
        "name": f"Owner's {secrets.token_hex(4)}",
    }
    process = await asyncio.create_subprocess_exec(
        node, "owner.mjs", json.dumps(config), cwd=packages, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
