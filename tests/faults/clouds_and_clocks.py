"""Rows 12 and 15: a cloud that misbehaves in every way, and clocks that are ten minutes off."""

import asyncio
from pathlib import Path
from typing import Any

from local import debian

from tests.faults import verdict
from tests.faults.trial import NotHere, Trial

FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"

MISBEHAVIOURS: dict[str, dict[str, Any]] = {
    "500s": {"error_rate": 0.3},
    "429s": {"rate_limit_per_s": 40, "retry_after_s": 1},
    "hangs": {"hang_rate": 0.3},
    "cuts after success": {"cut_after_success_rate": 0.3},
}


async def cloud_misbehaves(trial: Trial) -> None:
    """A quarter of the load with each; what failed for good is asked for again once the cloud is well."""
    before = await verdict.baseline(trial.ground)
    projects = (await trial.ground.cloud())["objects"]["projects"]
    quarter = trial.scale.projects / trial.scale.rate / len(MISBEHAVIOURS)
    share = 0.0
    async with trial.load():
        for name, behaviour in MISBEHAVIOURS.items():
            start = await trial.ground.cloud()
            await trial.ground.behave(**{**_well(), **behaviour})
            await asyncio.sleep(quarter)
            if name == "429s":
                end = await trial.ground.cloud()
                calls = end["calls"]["total"] - start["calls"]["total"]
                share = (end["rate_limited"] - start["rate_limited"]) / max(1, calls)
    await trial.ground.behave(**_well())
    trial.note(f"429s: {share:.0%} of calls")
    trial.expect(share <= 0.35, "the rate limit was not obeyed")
    found = await verdict.settle(trial.ground, trial.stream, before)
    trial.note(f"{len(found.failed_runs)} runs gave up and were retried")
    await trial.stream.retry(found.failed_runs)
    await verdict.settle(trial.ground, trial.stream, before)
    made = (await trial.ground.cloud())["objects"]["projects"] - projects
    trial.expect(made == len(trial.stream.accepted), f"{made} links for {len(trial.stream.accepted)} projects")


def _well() -> dict[str, Any]:
    return {"error_rate": 0.0, "rate_limit_per_s": None, "hang_rate": 0.0, "cut_after_success_rate": 0.0}


async def clocks_differ(trial: Trial) -> None:
    """The second replicas are ten minutes ahead or behind, the first ones are right."""
    library = await asyncio.to_thread(_faketime)
    if library is None:
        raise NotHere("needs libfaketime (Debian: apt-get install faketime)")
    offsets = {"link-provisioner": "-10m", "user-syncer": "+10m"}
    if trial.scale.freeze > 30:  # each further start takes its seconds
        offsets |= {"project-api": "+10m", "status-projector": "-10m"}
    fake = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    await trial.ground.restart({f"{name}.2": fake | {"FAKETIME": offset} for name, offset in offsets.items()})
    (begin,) = await trial.ground.rows("SELECT clock_timestamp() AS time")
    async with trial.load():
        pass
    await verdict.settle(trial.ground, trial.stream, await verdict.baseline(trial.ground))
    (foreign,) = await trial.ground.rows(
        "SELECT count(*) FILTER (WHERE time NOT BETWEEN $2 AND clock_timestamp()) AS n, count(*) AS all"
        " FROM status_projector.events WHERE identifier = ANY($1::text[])",
        list(trial.stream.accepted.values()),
        begin["time"],
    )
    trial.note(f"{foreign['all']} events, {foreign['n']} with another time than the database's")
    trial.expect(foreign["n"] == 0, "an event bears a worker's time")
    await trial.ground.restart({})


def _faketime() -> Path | None:
    """The library, installed first where that is allowed."""
    if not (found := list(Path("/").glob(FAKETIME.lstrip("/")))) and debian.may_install():
        debian.install("faketime")
        found = list(Path("/").glob(FAKETIME.lstrip("/")))
    return found[0] if found else None
