"""Row 19: a tenant asks for far more than can be done at once, and another one's projects come behind."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import httpx

from tests.faults import verdict
from tests.faults.stream import Stream
from tests.faults.trial import Trial

FLOOD = 250
"""Projects of the flood at most: more would not change who waits for whom, only for how long."""

QUIET = 20
MEMBERS = 30

LINKED = """
    SELECT extract(epoch FROM link.settled_at - status.started_at)::float AS seconds
    FROM link_provisioner.links AS link JOIN status_projector.project_status AS status USING (identifier)
    WHERE identifier = ANY($1::text[])
"""
LAST = "SELECT max(completed_at) AS time FROM status_projector.project_status WHERE identifier = ANY($1::text[])"


async def flood(trial: Trial) -> None:
    """The quiet tenant's p95 alone and beside the flood, of its runs and of their links; its projects end while those
    before them still wait."""
    before = await verdict.baseline(trial.ground)
    flooding, quiet = await _tenant(trial, "flooding", MEMBERS), await _tenant(trial, "quiet", 1)
    alone, beside = (trial.new_stream(f"row-19-{name}", count=QUIET, rate=10) for name in ("alone", "beside"))
    for stream, tenant in ((alone, quiet), (beside, quiet), (trial.stream, flooding)):
        stream.fields = {"tenant_id": tenant}
    await alone.run()
    await verdict.settle(trial.ground, alone, before)
    trial.stream.count, trial.stream.rate = min(FLOOD, trial.stream.count), 100
    async with trial.load():
        while len(trial.stream.accepted) < trial.stream.count // 4:
            await asyncio.sleep(0.05)
        await beside.run()
    found = await verdict.settle(trial.ground, beside, before, queues=False)
    await verdict.settle(trial.ground, trial.stream, before)
    ahead = (await _last(trial, trial.stream) - await _last(trial, beside)).total_seconds()
    calm, busy = [await _p95(trial, each) for each in (alone, beside)]
    links = [await _linked(trial, each) for each in (alone, beside, trial.stream)]
    trial.note(
        f"p95 of a run of another tenant {calm:.2f} s alone, {busy:.2f} s behind {trial.stream.count} projects of"
        f" {MEMBERS + 2} users; of its link {links[0]:.2f} s and {links[1]:.2f} s, of theirs {links[2]:.2f} s;"
        f" its last ended {ahead:.1f} s before theirs"
    )
    trial.expect(ahead > 0, "the other tenant waited for the flood's end")
    trial.expect(found.settled and not found.failed_runs, f"of the other tenant's: {found}")


async def _tenant(trial: Trial, name: str, members: int) -> int:
    """A tenant with so many members; the admins are in each of its projects, too."""
    headers = {"Authorization": f"Bearer {trial.ground.values['UCA_ADMIN_TOKEN']}"}
    async with httpx.AsyncClient(base_url=trial.ground.api_urls[0], headers=headers, timeout=30) as api:
        answer = await api.post("/admin/v1/tenants", json={"name": f"Row 19, {name}"})
        tenant = int(answer.raise_for_status().json()["data"]["id"])
        for number in range(members):
            email = f"{name}-{number}-{tenant}@example.com"
            user = {"name": f"User {number}", "email": email, "role": "member", "tenant_id": tenant}
            (await api.post("/admin/v1/users", json=user)).raise_for_status()
    return tenant


async def _last(trial: Trial, stream: Stream) -> datetime:
    (row,) = await trial.ground.rows(LAST, list(stream.accepted.values()))
    time: datetime = row["time"]
    return time


async def _linked(trial: Trial, stream: Stream) -> float:
    """The p95 of the time from the command to the link."""
    rows = await trial.ground.rows(LINKED, list(stream.accepted.values()))
    return verdict.p95([row["seconds"] for row in rows])


async def _p95(trial: Trial, stream: Stream) -> float:
    seconds: Sequence[float] = await verdict.run_seconds(trial.ground, list(stream.accepted.values()))
    return verdict.p95(seconds)
