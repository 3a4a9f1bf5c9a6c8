"""Rows 10 and 11: messages that come again and again in any order, and messages that nobody can understand."""

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
from contracts.events import RECORDED
from hypothesis import HealthCheck, given, settings, strategies
from status_projector.facts import FACTS, Known, Mark, fold, recount
from status_projector.projections import picture

from tests.faults import verdict
from tests.faults.ground import NAMES, SCHEMAS
from tests.faults.trial import Trial

TYPES = {kind.__name__: kind for kind in RECORDED}
TIMES = 5

READ_MODEL = (
    "SELECT to_jsonb(s)::text AS row FROM status_projector.project_status AS s WHERE identifier = ANY($1::text[])"
    " UNION ALL SELECT to_jsonb(u)::text FROM status_projector.user_status AS u WHERE identifier = ANY($1::text[])"
    " ORDER BY row"
)
LOG = (
    "SELECT event_id::text AS id, identifier, run, type, time, data::text AS data FROM status_projector.events"
    " WHERE identifier = ANY($1::text[])"
)


async def shuffled(trial: Trial) -> None:
    """The read model is forgotten, and told every event five times in any order: the same bytes again."""
    async with trial.load():
        pass
    found = await verdict.settle(trial.ground, trial.stream, await verdict.baseline(trial.ground))
    trial.expect(found.settled, f"the load itself did not settle: {found}")
    identifiers = list(trial.stream.accepted.values())
    before = [row["row"] for row in await trial.ground.rows(READ_MODEL, identifiers)]
    events = await trial.ground.rows(LOG, identifiers)
    for table in ("user_status", "project_status", "events"):
        await trial.ground.rows(
            f"DELETE FROM status_projector.{table} WHERE identifier = ANY($1::text[]) RETURNING 1", identifiers
        )
    bodies = [_body(event) for event in events] * TIMES
    random.shuffle(bodies)
    await _tell(trial, "status-projector.work", bodies)
    again = await verdict.settle(trial.ground, trial.stream, await verdict.baseline(trial.ground))
    trial.expect(again.settled, f"the read model did not come back: {again}")
    after = [row["row"] for row in await trial.ground.rows(READ_MODEL, identifiers)]
    trial.expect(after == before, f"{sum(a != b for a, b in zip(before, after, strict=False))} rows differ")
    tried = _permute([event for event in events if event["identifier"] == identifiers[0]])
    trial.note(f"{len(bodies)} deliveries of {len(events)} events; {tried} orders; {len(after)} rows identical")


def _body(event: asyncpg.Record) -> bytes:
    """The event as it travelled; its cause and trace, which the log doesn't keep, aren't part of the read model."""
    kind = TYPES[event["type"]]
    attributes = {
        "specversion": "1.0",
        "id": event["id"],
        "source": "the log",
        "type": event["type"],
        "subject": event["identifier"],
        "time": event["time"].isoformat(),
        "datacontenttype": "application/json",
        "dataschema": f"urn:uca:{event['type']}:{kind.version}",
        "correlationid": f"{event['identifier']}/{event['run']}",
        "run": event["run"],
        "data": json.loads(event["data"]),
    }
    return json.dumps(attributes).encode()


async def _tell(trial: Trial, queue: str, bodies: Sequence[bytes]) -> None:
    for start in range(0, len(bodies), 500):
        await asyncio.gather(
            *(
                trial.ground.broker.put(
                    queue, body, message_id=str(uuid4()), content_type="application/cloudevents+json"
                )
                for body in bodies[start : start + 500]
            )
        )


def _permute(events: Sequence[asyncpg.Record]) -> int:
    """The pure fold over orders of one project's events, repeats among them, as Hypothesis draws them."""
    facts = [
        (TYPES[event["type"]].model_validate_json(event["data"]), Mark(event["time"], event["id"])) for event in events
    ]
    seen: set[str] = set()
    tried = 0

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategies.permutations(facts))
    def folds_the_same(order: list[Any]) -> None:
        nonlocal tried
        tried += 1
        known = Known()
        for event, mark in order:
            fold(known, event, mark)
        if known.recount:
            recount(known, known.users.values())
        assert known.facts is not None
        shown = picture(known.facts)
        # As jsonb keeps it: without an order of keys.
        stored = json.dumps(FACTS.dump_python(known.facts, mode="json"), sort_keys=True)
        seen.add(stored + (shown.model_dump_json() if shown else ""))
        assert len(seen) == 1

    folds_the_same()
    return tried


def _poison() -> dict[str, bytes]:
    """What no service can understand, by the reason for which it is parked."""
    good = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "nobody",
        "type": "LinkEnsured",
        "time": datetime.now(UTC).isoformat(),
        "dataschema": "urn:uca:LinkEnsured:1",
        "correlationid": "X/1",
        "data": {"identifier": [], "run": "no number"},
    }
    return {
        "not JSON": b"\xff\x00 no JSON",
        "unknown version": json.dumps(good | {"dataschema": "urn:uca:LinkEnsured:99"}).encode(),
        "forged type": json.dumps(good | {"type": "ProjectCreated"}).encode(),
        "wrong schema": json.dumps(
            good | {"type": "DeadLettersReplayRequested", "dataschema": "urn:uca:DeadLettersReplayRequested:1"}
        ).encode(),
    }


async def poison(trial: Trial) -> None:
    """A third of the load before, a third with poison between, a third after: only the poison is parked, and once."""
    trial.stream.count //= 3
    before = await verdict.baseline(trial.ground)
    calm = await _calm(trial, "before")
    kinds = _poison()
    async with trial.load():
        for body in kinds.values():
            for name in NAMES:
                await trial.ground.broker.put(
                    f"{name}.work", body, message_id=str(uuid4()), content_type="application/cloudevents+json"
                )
        refused = await _too_large_is_refused(trial)
    trial.poison = len(kinds) * len(NAMES)
    trial.expect(refused, "a message over 4 MB was taken")
    await verdict.settle(trial.ground, trial.stream, before)
    beside = verdict.p95(await verdict.run_seconds(trial.ground, list(trial.stream.accepted.values())))
    # The machine has other work, too: the slower of two calm thirds is what the load itself costs now.
    calm = max(calm, await _calm(trial, "after"))
    trial.note(f"p95 of a run {calm:.2f} s without, {beside:.2f} s beside poison; over 4 MB: refused by the broker")
    trial.expect(beside <= max(2 * calm, 1.0), "the others' p95 more than doubled")
    unions = " UNION ALL ".join(f"SELECT message_id, tries FROM {schema}.parked" for schema in SCHEMAS)
    twice = await trial.ground.rows(f"SELECT message_id FROM ({unions}) AS p WHERE tries <> 1")
    trial.expect(not twice, f"{len(twice)} parked more than once")


async def _calm(trial: Trial, name: str) -> float:
    """The p95 of a load without poison."""
    clean = trial.new_stream(f"row-11-{name}", count=trial.stream.count)
    await clean.run()
    await verdict.settle(trial.ground, clean, await verdict.baseline(trial.ground))
    return verdict.p95(await verdict.run_seconds(trial.ground, list(clean.accepted.values())))


async def _too_large_is_refused(trial: Trial) -> bool:
    try:
        await trial.ground.broker.put(
            "link-provisioner.work", bytes(4_500_000), message_id=str(uuid4()), content_type="application/json"
        )
    except ConnectionError:
        return True
    return False
