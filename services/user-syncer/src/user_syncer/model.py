"""What user-syncer reasons about: a run, its plan and chunks, the members, and what is reported of them. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from clouds.port import ProjectSpec, UserRecord
from contracts.events import Participant, ProvisioningFailed
from contracts.status import Kind

from user_syncer.orders import Order
from user_syncer.tickets import ChunkPlanned

Pieces = Sequence[Sequence[Order]]
"""A plan's orders, chunk by chunk."""


@dataclass(frozen=True, slots=True)
class Run:
    """A project's newest run. ``provider_project_id`` is the cloud project that members were last planned for."""

    identifier: str
    number: int
    kind: Kind
    name: str
    tenant_id: int | None
    provider: str
    region: str
    participants: tuple[Participant, ...]
    removed: tuple[Participant, ...]
    redo: frozenset[int]
    reread: frozenset[int]
    provider_project_id: str | None
    planned: bool
    chunks_left: int
    """Of a run that suspends or removes: its chunks not yet done, after whose last one access is gone."""
    failure: ProvisioningFailed | None
    overdue: bool
    older_leases: bool
    """Somebody may still write on the cloud for an older run."""
    has_members: bool
    """We know somebody in the project, from this run or an older one."""

    @property
    def spec(self) -> ProjectSpec:
        return ProjectSpec(self.identifier, self.name)

    @property
    def ends_access(self) -> bool:
        return self.kind in (Kind.SUSPEND, Kind.REMOVE)

    def ticket(self, users: int) -> ChunkPlanned:
        """For a chunk of this run with so many users."""
        return ChunkPlanned(
            identifier=self.identifier, run=self.number, region=self.region, tenant_id=self.tenant_id, users=users
        )

    @property
    def named(self) -> frozenset[int]:
        """The users of whom somebody waits for word."""
        return frozenset(each.user_id for each in (*self.participants, *self.removed))


class Plan(NamedTuple):
    """What is to be done for a run. ``part`` sets further chunks of a planned run apart."""

    run: Run
    project_id: str | None
    pieces: Pieces
    part: str = ""


class Chunk(NamedTuple):
    """A chunk that this process has taken: ``fence`` and ``asked_at`` (monotonic) are its lease's.

    ``attempt`` counts tries, the present one included. ``told`` is the wait that people were told of last.
    """

    id: str
    identifier: str
    run: int
    kind: Kind
    tenant_id: int | None
    region: str
    provider_project_id: str
    orders: tuple[Order, ...]
    fence: int
    attempt: int
    told: str | None
    deadline_at: datetime
    overdue: bool
    asked_at: float

    @property
    def ends_access(self) -> bool:
        return self.kind in (Kind.SUSPEND, Kind.REMOVE)

    @property
    def ticket(self) -> ChunkPlanned:
        return ChunkPlanned(
            identifier=self.identifier,
            run=self.run,
            region=self.region,
            tenant_id=self.tenant_id,
            users=len(self.orders),
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A row, without the secret. ``state`` is pending, synced, failed or revoked, in the run ``run``."""

    user_id: int
    email: str
    role: str | None = None
    """The cloud role; ``None`` is no access."""
    provider_user_id: str | None = None
    key_id: str | None = None
    retired_key_ids: tuple[str, ...] = ()
    may_have_issued: bool = False
    """Attempts ended without a known end, given up, stopped by a newer run or repeated: the cloud may hold a key that
    we do not know, or make one yet. ``asked_email`` and ``asked_role`` are what they were about."""
    asked_email: str | None = None
    asked_role: str | None = None
    """Without a ``role`` it may be there all the same, until it is taken: a look at the keys says nothing of it."""
    state: str = "pending"
    run: int = 0
    changed: tuple[str, ...] = ()
    former: tuple[UserRecord, ...] = ()
    """Accounts under other e-mails whose access is still to be ended."""
    failure: str | None = None
    """The ProvisioningFailed that was told, as JSON."""

    @property
    def record(self) -> UserRecord:
        return UserRecord(
            self.user_id,
            self.email,
            self.role,
            self.provider_user_id,
            self.key_id,
            self.retired_key_ids,
            self.may_have_issued,
            (*self.former, *self._attempted),
        )

    @property
    def _attempted(self) -> tuple[UserRecord, ...]:
        """The account that an attempt without a known end was about."""
        if not self.may_have_issued or self.asked_email is None:
            return ()
        return (UserRecord(self.user_id, self.asked_email, self.asked_role),)

    @property
    def has_access(self) -> bool:
        """Or may have it."""
        role = self.role or self.asked_role
        return role is not None or self.may_have_issued or bool(self.known_keys or self.former)

    @property
    def known_keys(self) -> frozenset[str]:
        return frozenset(filter(None, (self.key_id, *self.retired_key_ids)))


@dataclass(frozen=True, slots=True)
class Success:
    """What is recorded of a user who has what was asked; with a new key also its sealed secret.

    ``unsettled`` are the keys that are still to be revoked, ``former`` the accounts; only ``done`` is the user synced.
    """

    user_id: int
    email: str
    role: str
    provider_user_id: str | None
    changed: tuple[str, ...] = ()
    key_id: str | None = None
    sealed: bytes | None = None
    unsettled: tuple[str, ...] = ()
    former: tuple[UserRecord, ...] = ()
    done: bool = True
    doubtful: bool = False
    """An earlier attempt may have issued a key that comes to light only later."""


@dataclass(slots=True)
class Report:
    """What is to be recorded of users of one run."""

    identifier: str
    run: int
    successes: list[Success] = field(default_factory=list)
    """Who have what was asked."""
    revoked: list[tuple[int, str]] = field(default_factory=list)
    """Who have no access any more: id and e-mail."""
    failures: list[tuple[ProvisioningFailed, str | None]] = field(default_factory=list)
    """Who were given up, with the cloud role that each was about to get, if any."""
    doubted: list[int] = field(default_factory=list)
    """Of whose access an unknown part is gone."""
    certain: list[int] = field(default_factory=list)
    """Of whom no unknown key is left."""
