"""The real parts that the handlers stand on: a migrated database, and the cloud simulator behind the real adapter."""

import itertools
from collections.abc import AsyncIterator

import pytest
from backbone.database import Database
from backbone.leases import LeaseKeeper
from backbone.shares import Shares
from backbone.testing import service_database
from cloud_simulator.testing import RunningSimulator, running_simulator
from clouds.providers import Clouds
from clouds.regions import Region
from contracts.events import ProjectCreated
from link_provisioner.handlers import ensure_link
from link_provisioner.provisioner import Provisioner
from link_provisioner.testing import Story
from pydantic import SecretStr

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """link-provisioner's schema, with its role's rights."""
    role, readers = "uca_link_provisioner", ["uca_project_api", "uca_project_api_tenant"]
    async with service_database(postgres_url, "link_provisioner", role=role, readers=readers) as opened:
        yield opened


@pytest.fixture(scope="session")
async def simulator_process() -> AsyncIterator[RunningSimulator]:
    """One for the suite."""
    async with running_simulator() as running:
        yield running


@pytest.fixture
async def simulator(simulator_process: RunningSimulator) -> RunningSimulator:
    """An empty cloud without delays."""
    await simulator_process.reset()
    await simulator_process.behave(latency_ms={"project": 0, "user": 0})
    return simulator_process


@pytest.fixture
async def clouds(simulator: RunningSimulator) -> AsyncIterator[Clouds]:
    """The simulator as region `here`, and `nowhere`, where nobody listens."""
    password = SecretStr(simulator.settings.password)
    entry = {"provider": "zadara", "account": simulator.account, "username": simulator.settings.username}
    urls = {"here": simulator.url, "nowhere": "http://127.0.0.1:1"}
    regions = {
        code: Region.model_validate({**entry, "code": code, "name": code, "url": url}).model_copy(
            update={"password": password}
        )
        for code, url in urls.items()
    }
    opened = Clouds(regions)
    yield opened
    await opened.aclose()


@pytest.fixture
def provisioner(database: Database, clouds: Clouds) -> Provisioner:
    """A worker."""
    return Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), Shares(8, 8), 60)


@pytest.fixture
async def story(database: Database, provisioner: Provisioner) -> Story:
    """A project that nobody has heard of, and an empty outbox."""
    made = Story(database, provisioner, f"P{next(_numbers)}")
    await made.sent()
    return made


@pytest.fixture
async def linked(story: Story) -> Story:
    """A project whose first run is linked."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    return story
