"""The two clouds that the adapters are tested on: the simulator, and a real Keystone; each a process of its own."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from urllib.parse import quote

import pytest
from cloud_simulator.testing import RunningSimulator, running_simulator
from clouds.errors import AuthExpired, CloudError
from clouds.keystone import KeystoneProvider
from clouds.port import (
    AccessKey,
    CloudProject,
    CloudProvider,
    DesiredUser,
    ProjectSpec,
    Snapshot,
    UserChange,
    UserOutcome,
    UserRecord,
)
from clouds.providers import Clouds
from clouds.reconcile import plan
from clouds.regions import Region
from clouds.settings import CloudSettings
from clouds.testing import Keystone, running_keystone
from pydantic import SecretStr

_numbers = count(1)


def simulator_region(simulator: RunningSimulator, code: str = "sim", **options: object) -> Region:
    """A region that calls the simulator as its admin."""
    return Region(
        code=code,
        name="Simulated",
        provider="zadara",
        url=simulator.url,
        account=simulator.account,
        username=simulator.settings.username,
        password=SecretStr(simulator.settings.password),
        roles={"admin": "tenant_admin"},
        options=options,
    )


@dataclass
class Peer:
    """A caller in small: it plans, syncs, stores and settles as user-syncer does, and remembers what it stored."""

    clouds: Clouds
    code: str
    spec: ProjectSpec
    records: dict[int, UserRecord] = field(default_factory=dict)
    keys: dict[int, AccessKey] = field(default_factory=dict)
    project: CloudProject | None = None

    @property
    def cloud(self) -> CloudProvider:
        return self.clouds.open(self.code)

    @property
    def project_id(self) -> str:
        assert self.project is not None
        return self.project.id

    async def link(self) -> CloudProject:
        self.project = await self.cloud.ensure_project(self.spec)
        return self.project

    async def read(self, *each_of: str) -> Snapshot:
        return await self.cloud.read_snapshot(self.spec, self.project_id, each_of)

    async def plan(self, desired: list[DesiredUser], *each_of: str) -> tuple[UserChange, ...]:
        return plan(desired, await self.read(*each_of), self.records, self.cloud.capabilities)

    async def sync(self, changes: Sequence[UserChange]) -> list[UserOutcome | CloudError]:
        """All of them at once; one user's CloudError stands where their outcome would, and stops nobody else."""
        return await asyncio.gather(*(self._sync(change) for change in changes))

    async def _sync(self, change: UserChange) -> UserOutcome | CloudError:
        try:
            return await self.cloud.sync_user(self.project_id, change)
        except CloudError as error:
            return error

    async def run(self, desired: list[DesiredUser]) -> list[UserOutcome | CloudError]:
        """One run; users that failed keep a record that says so, as a crash would leave it."""
        changes = await self.plan(desired)
        results = await self.sync(changes)
        roles = {user.user_id: user for user in desired}
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, CloudError):
                self._note_failure(change, roles.get(change.user_id))
            else:
                self._store(change, result, roles.get(change.user_id))
                await self.cloud.settle_user(self.project_id, change)
        return results

    def user(self, number: int, role: str = "", *, rotate: bool = False) -> DesiredUser:
        """A participant whose e-mail no other test uses."""
        email = f"user{number}.{self.spec.identifier}@Example.com"
        return DesiredUser(number, email, role or self.cloud.capabilities.member_role, rotate)

    def _store(self, change: UserChange, outcome: UserOutcome, desired: DesiredUser | None) -> None:
        if desired is None:
            self.records.pop(change.user_id)
            self.keys.pop(change.user_id, None)
            return
        if outcome.key:
            self.keys[change.user_id] = outcome.key
        key_id = outcome.key.id if outcome.key else change.keys.current
        self.records[change.user_id] = UserRecord(
            change.user_id, desired.email, desired.role, outcome.provider_user_id, key_id
        )

    def _note_failure(self, change: UserChange, desired: DesiredUser | None) -> None:
        record = self.records.get(change.user_id)
        if record is None and desired is not None:
            record = UserRecord(change.user_id, desired.email)
        if record is not None:
            self.records[change.user_id] = replace(record, may_have_issued=True)


@pytest.fixture(scope="session")
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running_simulator() as running:
        yield running


@pytest.fixture(scope="session")
def keystone() -> Iterator[Keystone]:
    with running_keystone() as running:
        yield running


@pytest.fixture(params=["zadara", "keystone"])
def region(request: pytest.FixtureRequest) -> Region:
    """Each cloud in turn, started when the first test wants it."""
    if request.param == "zadara":
        return simulator_region(request.getfixturevalue("simulator"), "zadara")
    running: Keystone = request.getfixturevalue("keystone")
    return running.region("keystone", roles={"admin": "manager"})


@pytest.fixture
async def peer(region: Region) -> AsyncIterator[Peer]:
    """A caller with a project of its own that is not linked yet."""
    clouds = Clouds({region.code: region}, CloudSettings(timeout=10))
    yield Peer(clouds, region.code, new_spec())
    await clouds.aclose()


def new_spec(name: str = "Blue Whale") -> ProjectSpec:
    """Unlike any other test's."""
    return ProjectSpec(f"T{next(_numbers):05d}", name)


@pytest.fixture
async def simulated(simulator: RunningSimulator) -> AsyncIterator[Peer]:
    """The simulator, empty, with short waits."""
    await simulator.reset()
    region = simulator_region(simulator)
    clouds = Clouds({region.code: region}, CloudSettings(timeout=1.0))
    yield Peer(clouds, region.code, new_spec())
    await clouds.aclose()


@pytest.fixture
def authenticates(request: pytest.FixtureRequest) -> Callable[[Peer, int | AccessKey], Awaitable[bool]]:
    """Whether a stored key (or a given one) lets its user into its project."""

    async def check(peer: Peer, which: int | AccessKey) -> bool:
        key = peer.keys[which] if isinstance(which, int) else which
        if peer.code == "keystone":
            return await _ec2_login(peer, key)
        running: RunningSimulator = request.getfixturevalue("simulator")
        return await running.authenticates(key.id, key.secret)

    return check


async def _ec2_login(peer: Peer, key: AccessKey) -> bool:
    """Keystone's own check of a signed request (EC2 signature version 2), which an admin may ask it for."""
    params = {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "AWSAccessKeyId": key.id}
    params["Timestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = "&".join(f"{quote(name, safe='')}={quote(params[name], safe='-_~')}" for name in sorted(params))
    digest = hmac.new(key.secret.encode(), f"GET\nlocalhost\n/\n{query}".encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    credentials = {"access": key.id, "host": "localhost", "verb": "GET", "path": "/", "params": params}
    assert isinstance(peer.cloud, KeystoneProvider)
    body = {"credentials": credentials | {"signature": signature}}
    try:
        return (await peer.cloud._call("ec2_login", "POST", "/ec2tokens", body=body)).status == 200
    except AuthExpired:  # its 401 speaks of the signed request, not of our token
        return False


@pytest.fixture
async def patient(simulator: RunningSimulator) -> AsyncIterator[Peer]:
    """The simulator, empty, with waits as short as its faults are frequent."""
    await simulator.reset()
    region = simulator_region(simulator)
    settings = CloudSettings(timeout=0.4, breaker_open=0.2, breaker_open_max=0.5)
    clouds = Clouds({region.code: region}, settings)
    yield Peer(clouds, region.code, new_spec())
    await clouds.aclose()
    await simulator.reset()


@pytest.fixture
def make_peer() -> Callable[[Clouds, str], Peer]:
    """A caller on a cloud of the test's own."""
    return lambda clouds, code: Peer(clouds, code, new_spec())
