"""A private stack whose requests are limited and whose second region is reached through a proxy."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from local import ports

from tests.faults.ground import Ground
from tests.faults.proxy import Proxy
from tests.faults.scale import QUICK

TENANT_RATE = 10
"""Requests a second of one tenant in one replica."""

SCALE = replace(
    QUICK, name="operations", settings={**QUICK.settings, "CLOUD_TIMEOUT": "15", "TENANT_RATE": str(TENANT_RATE)}
)


@pytest.fixture(scope="session")
async def ground(pytestconfig: pytest.Config) -> AsyncIterator[Ground]:
    """Two replicas of each service; whatever a test changes it puts back."""
    opened = Ground(pytestconfig.rootpath / ".run" / "operations", SCALE)
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def slow_region(ground: Ground) -> AsyncIterator[Proxy]:
    """The way to region-2, for every worker."""
    port = ports.allocate(ground.directory / "ports.json", ["proxy region-2"], in_use=True)["proxy region-2"]
    regions = json.loads((ground.directory / "regions.json").read_text())
    file = ground.directory / "regions-slow.json"
    file.write_text(
        json.dumps(
            [each | ({"url": f"http://127.0.0.1:{port}"} if each["code"] == "region-2" else {}) for each in regions]
        )
    )
    workers = [name for name in ground.instances if name.startswith(("link-provisioner", "user-syncer"))]
    async with Proxy(port, ground.services.ports["cloud-simulator"]) as proxy:
        await ground.restart({name: {"CLOUD_REGIONS_FILE": str(file)} for name in workers})
        yield proxy
        proxy.heal()
        await ground.restart({})
