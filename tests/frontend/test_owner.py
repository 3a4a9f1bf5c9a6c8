"""The owner's frontend at work: its calls, in its order, with its payloads, in a browser."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.frontend.conftest import Script

HERE = Path(__file__).parent


@pytest.fixture
async def refusing(environment: dict[str, str]) -> AsyncIterator[str]:
    """The simulated cloud, which refuses one administrator until it is told otherwise; its address."""
    async with httpx.AsyncClient(base_url=environment["UCA_SIMULATOR_URL"]) as simulator:
        await simulator.put("/_sim/behaviour", json={"fail_emails": ["alan@uca.example"]})
        yield environment["UCA_SIMULATOR_URL"]
        await simulator.put("/_sim/behaviour", json={"fail_emails": []})


async def test_the_owners_frontend_works_unchanged(
    environment: dict[str, str], refusing: str, script: Script, chromium: str
) -> None:
    """List, create with member_user_ids, poll, listen with Echo, retry, delete: each answer is as it reads."""
    config = {
        "executable": chromium,
        "origin": environment["UCA_API_URL"],
        "token": environment["UCA_ADMIN_TOKEN"],
        "key": environment["UCA_PUSH_KEY"],
        "simulator": refusing,
        "name": f"Owner's {secrets.token_hex(4)}",
    }
    await script(HERE / "owner.mjs", config)
