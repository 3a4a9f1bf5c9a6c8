"""The chunks: a run's users in portions that any replica takes. A row is the truth, with the orders that are left.

``turn`` is start-time fair queueing: a tenant's chunks stand behind each other, tenants stand side by side. So the
first rows by ``turn`` are of many tenants, however many chunks one of them has planned, and among these the tenant with
the fewest in hand is served.
"""

import time
from collections.abc import Collection, Sequence
from typing import Any

from backbone.database import Transaction
from backbone.leases import LeaseLost
from contracts.status import Kind
from pydantic_core import to_json

from user_syncer import orders
from user_syncer.model import Chunk, Plan, Run
from user_syncer.orders import Order
from user_syncer.runs import Executor
from user_syncer.tickets import ChunkPlanned

# What a chunk has of its run, and its place in the queue. Several runs of a tenant stand behind each other, too.
_INSERT = (
    "INSERT INTO chunks (id, identifier, run, kind, tenant_id, region, provider_project_id, deadline_at, turn, orders)"
    " SELECT r.identifier || '/' || r.run || '/' || r.part || number, r.identifier, r.run, r.kind,"
    " r.tenant_id, r.region, r.asked_project_id, r.deadline_at,"
    " greatest("
    "(SELECT max(turn) FROM chunks WHERE coalesce(tenant_id, 0) = coalesce(r.tenant_id, 0)),"
    " coalesce((SELECT min(turn) FROM chunks WHERE lease_until > now()),"
    " (SELECT min(turn) FROM chunks WHERE NOT superseded), 0)"
    ") + row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.identifier, number), piece"
    " FROM {runs} AS r, jsonb_array_elements(r.pieces) WITH ORDINALITY AS pieces (piece, number)"
)
_ASKED = (
    "SELECT * FROM jsonb_to_recordset(CAST(:plans AS jsonb))"
    " AS each (identifier text, run integer, asked_project_id text, part text, pieces jsonb)"
)
# Rows are locked in the order of their keys, here as everywhere: replicas never wait for each other in a ring.
PLAN = (
    f"WITH asked AS ({_ASKED}), held AS (SELECT identifier FROM runs JOIN asked USING (identifier)"  # noqa: S608 - our own text
    " ORDER BY identifier FOR UPDATE OF runs"
    "), planned AS (UPDATE runs SET planned_at = now(), chunks_left = jsonb_array_length(pieces),"
    " provider_project_id = coalesce(asked_project_id, provider_project_id) FROM asked JOIN held USING (identifier)"
    " WHERE runs.identifier = asked.identifier AND runs.run = asked.run AND planned_at IS NULL AND failure IS NULL"
    " RETURNING runs.*, asked_project_id, part, pieces"
    f"), stored AS ({_INSERT.format(runs='planned')}) SELECT identifier, run, now() FROM planned"
)
# What is looked for after its run has a time of its own: the run's deadline may have been what left it.
_RUNS_WITH_TIME = (
    "(SELECT identifier, run, kind, tenant_id, region, asked_project_id, part, pieces,"  # noqa: S608 - as above
    f" greatest(deadline_at, now() + interval '1 hour') AS deadline_at FROM runs JOIN ({_ASKED}) AS asked"
    " USING (identifier, run))"
)
INSERT = f"{_INSERT.format(runs=_RUNS_WITH_TIME)} ON CONFLICT (id) DO NOTHING"
TAKE = (
    # OFFSET 0 has the line read by its index, and only as far as needed, even where statistics are not there yet.
    # Conditions are there twice: once to find the rows, and again on the rows as they are once they are locked.
    # ``place`` is as if they were taken one by one: what a tenant gets here counts against its next chunk.
    "WITH busy AS MATERIALIZED (SELECT coalesce(tenant_id, 0) AS tenant, count(*) AS chunks FROM chunks"
    " WHERE lease_until > now() GROUP BY 1"
    "), nearest AS MATERIALIZED (SELECT id, coalesce(tenant_id, 0) AS tenant, turn"
    " FROM (SELECT * FROM chunks WHERE NOT superseded ORDER BY turn, id OFFSET 0)"
    " AS line WHERE not_before <= now() AND (lease_until IS NULL OR lease_until <= now())"
    " AND region <> ALL(CAST(:closed AS text[])) LIMIT 100"
    "), placed AS MATERIALIZED (SELECT id, coalesce(busy.chunks, 0)"
    " + row_number() OVER (PARTITION BY tenant ORDER BY turn, id) AS place FROM nearest LEFT JOIN busy USING (tenant)"
    "), fairest AS (SELECT chunks.id FROM chunks JOIN placed USING (id)"
    " WHERE NOT superseded AND not_before <= now() AND (lease_until IS NULL OR lease_until <= now())"
    " ORDER BY place, turn, id LIMIT :number FOR UPDATE OF chunks SKIP LOCKED)"
    " UPDATE chunks SET fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " FROM fairest WHERE chunks.id = fairest.id"
    " RETURNING chunks.id, identifier, run, kind, tenant_id, region, provider_project_id, orders::text, fence, attempt,"
    " told, deadline_at, deadline_at <= now()"
)
DUE = (
    "SELECT EXISTS (SELECT FROM chunks WHERE NOT superseded AND not_before <= now()"
    " AND (lease_until IS NULL OR lease_until <= now()))"
)
CUT = "UPDATE chunks SET orders = CAST(:orders AS jsonb) WHERE id = :id AND fence = :fence AND NOT superseded"
DONE = (
    "WITH held AS (SELECT id FROM chunks JOIN unnest(CAST(:ids AS text[]), CAST(:fences AS bigint[]))"
    " AS done (id, fence) USING (id, fence) WHERE NOT superseded ORDER BY id FOR UPDATE OF chunks)"
    " DELETE FROM chunks USING held WHERE chunks.id = held.id RETURNING chunks.id, chunks.fence"
)
WAIT = (
    "UPDATE chunks SET orders = CAST(:orders AS jsonb), attempt = :attempt, told = :told, lease_until = NULL,"
    " not_before = clock_timestamp() + make_interval(secs => :delay),"
    " ticketed_at = clock_timestamp() + make_interval(secs => :delay)"
    " WHERE id = :id AND fence = :fence AND NOT superseded"
)
LET_GO = "DELETE FROM chunks WHERE id = :id AND fence = :fence + 1 AND superseded"
OPEN_OF_RUN = (
    "SELECT jsonb_array_length(orders) AS users FROM chunks WHERE identifier = :identifier AND run = :run"
    " AND NOT superseded AND (lease_until IS NULL OR lease_until <= now()) AND not_before <= now()"
)
TICKETLESS = (
    "UPDATE chunks SET ticketed_at = clock_timestamp(), lease_until = NULL WHERE id IN (SELECT id FROM chunks"
    " WHERE NOT superseded AND not_before <= now() AND (lease_until <= now()"
    " OR (lease_until IS NULL AND ticketed_at < now() - make_interval(secs => :age)))"
    " ORDER BY turn LIMIT 100 FOR UPDATE SKIP LOCKED)"
    " RETURNING identifier, run, region, tenant_id, jsonb_array_length(orders) AS users"
)
FORGET = "DELETE FROM chunks WHERE superseded AND (lease_until IS NULL OR lease_until <= now())"
STATE = (
    "SELECT count(*) AS open, count(*) FILTER (WHERE not_before > now()) AS waiting,"
    " coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest FROM chunks"
    " WHERE NOT superseded"
)


async def plan(tx: Transaction, plans: Sequence[Plan]) -> set[tuple[str, int]]:
    """Marks runs as planned, once, and stores their chunks; project and number of those that were not planned or over
    yet. There must be one plan of a run at most, for of several any one would be stored.
    """
    rows = (await tx.execute(PLAN, _plans(plans))).all()
    tx.now = rows[0].now if rows else None
    return {(row.identifier, row.run) for row in rows}


async def insert(tx: Transaction, plan: Plan) -> int:
    """Stores further chunks of a run, where it is still the newest. How many were stored."""
    return (await tx.execute(INSERT, _plans([plan]))).rowcount


async def take(executor: Executor, number: int, seconds: float, closed: Collection[str] = ()) -> list[Chunk]:
    """The fairest chunks that may be carried out now, leased for ``seconds``; none of a region in ``closed``."""
    asked_at = time.monotonic()
    asked = {"number": number, "seconds": seconds, "closed": list(closed)}
    return [_chunk(tuple(row), asked_at) for row in await executor.execute(TAKE, asked)]


async def any_due(executor: Executor) -> bool:
    """Whether there are chunks that may be carried out now, in whichever region."""
    return bool((await executor.execute(DUE)).scalar_one())


def _chunk(row: tuple[Any, ...], asked_at: float) -> Chunk:
    chunk = Chunk._make((*row, asked_at))
    left = orders.from_json(str(chunk.orders))
    if chunk.fence > 1:
        left = tuple(map(orders.again, left))
    return chunk._replace(orders=left, kind=Kind(chunk.kind))


async def cut(tx: Transaction, chunk: Chunk, left: Sequence[Order]) -> None:
    """Keeps only the orders that are left; the lease goes on. Raises :class:`LeaseLost`."""
    await _change(tx, CUT, chunk, orders=orders.to_json(left))


async def done(tx: Transaction, finished: Sequence[Chunk]) -> set[tuple[str, int]]:
    """Nothing is left of them; id and fence of those whose lease was not lost."""
    if not finished:
        return set()
    asked = {"ids": [each.id for each in finished], "fences": [each.fence for each in finished]}
    return {(row.id, row.fence) for row in await tx.execute(DONE, asked)}


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


async def state(executor: Executor) -> tuple[int, int, float]:
    """How many are open, how many of them wait, and the age of the oldest in seconds."""
    row = (await executor.execute(STATE)).one()
    return row.open, row.waiting, row.oldest


def _plans(plans: Sequence[Plan]) -> dict[str, str]:
    """As JSON, built by hand, for the orders are JSON already."""
    texts = []
    for each in plans:
        about = {"identifier": each.run.identifier, "run": each.run.number} | {
            "asked_project_id": each.project_id, "part": each.part
        }  # fmt: skip
        pieces = ",".join(map(orders.to_json, each.pieces))
        texts.append(f'{to_json(about).decode()[:-1]}, "pieces": [{pieces}]}}')
    return {"plans": f"[{','.join(texts)}]"}


async def _change(tx: Transaction, statement: str, chunk: Chunk, **fields: object) -> None:
    changed = await tx.execute(statement, {"id": chunk.id, "fence": chunk.fence, **fields})
    if changed.rowcount == 0:
        raise LeaseLost(chunk.id)
