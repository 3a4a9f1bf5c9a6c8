"""The chunks: a run's users in portions that any replica takes. A row is the truth, with the orders that are left.

``turn`` is start-time fair queueing: a tenant's chunks stand behind each other, tenants stand side by side. So the
first rows by ``turn`` are of many tenants, however many chunks one of them has planned, and among these the tenant with
the fewest in hand is served.
"""

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from backbone.database import Transaction
from backbone.leases import LeaseLost
from contracts.status import Kind
from sqlalchemy import TextClause, text

from user_syncer import orders
from user_syncer.orders import Order
from user_syncer.runs import Connection, Run
from user_syncer.tickets import ChunkPlanned

Pieces = Sequence[Sequence[Order]]


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
        return ChunkPlanned(identifier=self.identifier, run=self.run, region=self.region, users=len(self.orders))


# What a chunk has of its run, and its place in the queue; to be followed by where the run comes from.
_INSERT = (
    "INSERT INTO chunks (id, identifier, run, kind, tenant_id, region, provider_project_id, deadline_at, turn, orders)"
    " SELECT r.identifier || '/' || r.run || '/' || CAST(:name AS text) || number, r.identifier, r.run, r.kind,"
    " r.tenant_id, r.region, :project_id, r.deadline_at,"
    " greatest("
    "(SELECT max(turn) FROM chunks WHERE coalesce(tenant_id, 0) = coalesce(r.tenant_id, 0)),"
    " coalesce((SELECT min(turn) FROM chunks WHERE lease_until > now()),"
    " (SELECT min(turn) FROM chunks WHERE NOT superseded), 0)"
    ") + number, piece"
    " FROM jsonb_array_elements(CAST(:pieces AS jsonb)) WITH ORDINALITY AS pieces (piece, number)"
)
PLAN = text(
    "WITH planned AS (UPDATE runs SET planned_at = now(), chunks_left = :chunks,"  # noqa: S608 - our own text
    " provider_project_id = coalesce(:project_id, provider_project_id)"
    " WHERE identifier = :identifier AND run = :run AND planned_at IS NULL AND failure IS NULL RETURNING *"
    f"), stored AS ({_INSERT} CROSS JOIN planned AS r) SELECT now() FROM planned"
)
INSERT = text(
    f"{_INSERT} CROSS JOIN runs AS r WHERE r.identifier = :identifier AND r.run = :run ON CONFLICT (id) DO NOTHING"
)
TAKE = text(
    # OFFSET 0 has the line read by its index, and only as far as needed, even where statistics are not there yet.
    # Conditions are there twice: once to find the row, and again on the row as it is once it is locked.
    "WITH busy AS MATERIALIZED (SELECT coalesce(tenant_id, 0) AS tenant, count(*) AS chunks FROM chunks"
    " WHERE lease_until > now() GROUP BY 1"
    "), nearest AS MATERIALIZED (SELECT id FROM (SELECT * FROM chunks WHERE NOT superseded ORDER BY turn, id OFFSET 0)"
    " AS line WHERE not_before <= now() AND (lease_until IS NULL OR lease_until <= now())"
    " AND region <> ALL(CAST(:closed AS text[])) LIMIT 100"
    "), fairest AS (SELECT chunks.id FROM chunks LEFT JOIN busy ON busy.tenant = coalesce(chunks.tenant_id, 0)"
    " WHERE id = ANY(ARRAY(SELECT id FROM nearest))"
    " AND NOT superseded AND not_before <= now() AND (lease_until IS NULL OR lease_until <= now())"
    " ORDER BY coalesce(busy.chunks, 0), chunks.turn, chunks.id LIMIT 1 FOR UPDATE OF chunks SKIP LOCKED)"
    " UPDATE chunks SET fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " FROM fairest WHERE chunks.id = fairest.id"
    " RETURNING chunks.id, identifier, run, kind, tenant_id, region, provider_project_id, orders::text, fence, attempt,"
    " told, deadline_at, deadline_at <= now()"
)
CUT = text("UPDATE chunks SET orders = CAST(:orders AS jsonb) WHERE id = :id AND fence = :fence AND NOT superseded")
DONE = text("DELETE FROM chunks WHERE id = :id AND fence = :fence AND NOT superseded")
WAIT = text(
    "UPDATE chunks SET orders = CAST(:orders AS jsonb), attempt = :attempt, told = :told, lease_until = NULL,"
    " not_before = clock_timestamp() + make_interval(secs => :delay),"
    " ticketed_at = clock_timestamp() + make_interval(secs => :delay)"
    " WHERE id = :id AND fence = :fence AND NOT superseded"
)
LET_GO = text("DELETE FROM chunks WHERE id = :id AND fence = :fence + 1 AND superseded")
OPEN_OF_RUN = text(
    "SELECT jsonb_array_length(orders) AS users FROM chunks WHERE identifier = :identifier AND run = :run"
    " AND NOT superseded AND (lease_until IS NULL OR lease_until <= now()) AND not_before <= now()"
)
TICKETLESS = text(
    "UPDATE chunks SET ticketed_at = clock_timestamp(), lease_until = NULL WHERE id IN (SELECT id FROM chunks"
    " WHERE NOT superseded AND not_before <= now() AND (lease_until <= now()"
    " OR (lease_until IS NULL AND ticketed_at < now() - make_interval(secs => :age)))"
    " ORDER BY turn LIMIT 100 FOR UPDATE SKIP LOCKED)"
    " RETURNING identifier, run, region, jsonb_array_length(orders) AS users"
)
FORGET = text("DELETE FROM chunks WHERE superseded AND (lease_until IS NULL OR lease_until <= now())")
STATE = text(
    "SELECT count(*) AS open, count(*) FILTER (WHERE not_before > now()) AS waiting,"
    " coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest FROM chunks"
    " WHERE NOT superseded"
)


class AlreadyPlanned(Exception):
    """Another delivery planned the run first, or a newer run has begun; nothing of this plan is kept."""


async def plan(tx: Transaction, run: Run, project_id: str | None, pieces: Pieces) -> None:
    """Marks the run as planned, once, and stores its chunks. Raises :class:`AlreadyPlanned`."""
    done = await tx.execute(PLAN, {**_pieces(run, project_id, pieces), "name": "", "chunks": len(pieces)})
    tx.now = done.scalar_one_or_none()
    if tx.now is None:
        raise AlreadyPlanned(run.identifier)


async def insert(tx: Transaction, run: Run, project_id: str, pieces: Pieces, *, name: str) -> int:
    """Stores further chunks of a run, where it is still the newest; ``name`` sets them apart. How many were stored."""
    return (await tx.execute(INSERT, {**_pieces(run, project_id, pieces), "name": name})).rowcount


async def take(connection: Connection, seconds: float, closed: Collection[str] = ()) -> Chunk | None:
    """The fairest chunk that may be carried out now, leased for ``seconds``; none of a region in ``closed``."""
    asked_at = time.monotonic()
    row = (await connection.execute(TAKE, {"seconds": seconds, "closed": list(closed)})).one_or_none()
    if row is None:
        return None
    chunk = Chunk._make((*row, asked_at))
    left = orders.from_json(row.orders)
    if chunk.fence > 1:
        left = tuple(map(orders.again, left))
    return chunk._replace(orders=left, kind=Kind(chunk.kind))


async def cut(tx: Transaction, chunk: Chunk, left: Sequence[Order]) -> None:
    """Keeps only the orders that are left; the lease goes on. Raises :class:`LeaseLost`."""
    await _change(tx, CUT, chunk, orders=orders.to_json(left))


async def done(tx: Transaction, chunk: Chunk) -> None:
    """Nothing is left of it. Raises :class:`LeaseLost`."""
    await _change(tx, DONE, chunk)


async def wait(tx: Transaction, chunk: Chunk, left: Sequence[Order], *, attempt: int, delay: float, told: str) -> None:
    """What is left may be taken again in ``delay`` seconds. Raises :class:`LeaseLost`."""
    await _change(tx, WAIT, chunk, orders=orders.to_json(left), attempt=attempt, delay=delay, told=told)


async def let_go(tx: Transaction, chunk: Chunk) -> None:
    """Of a superseded chunk, once nothing writes on the cloud for it any more: the newer run need not wait longer."""
    await tx.execute(LET_GO, {"id": chunk.id, "fence": chunk.fence})


async def open_of(tx: Transaction, run: Run) -> list[ChunkPlanned]:
    """Tickets for what nobody works on and is due."""
    rows = (await tx.execute(OPEN_OF_RUN, {"identifier": run.identifier, "run": run.number})).all()
    return [run.ticket(row.users) for row in rows]


async def ticketless(tx: Transaction, age: float) -> list[ChunkPlanned]:
    """Tickets for chunks whose worker is gone, or whose own ticket is older than ``age`` seconds; at most 100."""
    rows = (await tx.execute(TICKETLESS, {"age": age})).all()
    return [ChunkPlanned(**row._mapping) for row in rows]


async def forget(tx: Transaction) -> None:
    """Deletes superseded chunks for which nobody can write any more."""
    await tx.execute(FORGET)


async def state(connection: Connection) -> tuple[int, int, float]:
    """How many are open, how many of them wait, and the age of the oldest in seconds."""
    row = (await connection.execute(STATE)).one()
    return row.open, row.waiting, row.oldest


def _pieces(run: Run, project_id: str | None, pieces: Pieces) -> dict[str, Any]:
    texts = ",".join(orders.to_json(piece) for piece in pieces)
    return {"identifier": run.identifier, "run": run.number, "project_id": project_id, "pieces": f"[{texts}]"}


async def _change(tx: Transaction, statement: TextClause, chunk: Chunk, **fields: object) -> None:
    changed = await tx.execute(statement, {"id": chunk.id, "fence": chunk.fence, **fields})
    if changed.rowcount == 0:
        raise LeaseLost(chunk.id)
