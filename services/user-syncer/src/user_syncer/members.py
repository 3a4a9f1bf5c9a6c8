"""The members: what we know of each user in a project, with the sealed secret of their current key."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from backbone.database import Transaction
from clouds.port import UserRecord
from contracts.events import Event, ProvisioningFailed, UserRevoked, UserSynced
from pydantic import TypeAdapter
from pydantic_core import to_json

from user_syncer.model import Member, Report, Run, Success
from user_syncer.runs import DOUBT_ACCESS, KEEP_FORMER, Executor

_COLUMNS = (
    "user_id, email, role, provider_user_id, key_id, retired_key_ids, may_have_issued, asked_email, asked_role,"
    " state, run, changed, former::text AS former, failure::text AS failure"
)
OF_PROJECT = f"SELECT {_COLUMNS} FROM member_records WHERE identifier = :identifier"  # noqa: S608 - our own names
TOLD = (
    f"SELECT {_COLUMNS} FROM member_records"  # noqa: S608 - our own names
    " WHERE identifier = :identifier AND run = :run AND state <> 'pending' ORDER BY user_id"
)
UNCERTAIN = (
    f"SELECT {_COLUMNS} FROM member_records WHERE identifier = :identifier AND may_have_issued"  # noqa: S608 - our own names
    " AND updated_at < now() - make_interval(secs => :age)"
)
_ROWS = "jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (identifier text, run integer, user_id bigint"
"""Users of any number of runs, to be followed by further columns."""
SUCCEED = (
    "INSERT INTO member_records AS m (identifier, user_id, email, role, provider_user_id, key_id, sealed_secret,"  # noqa: S608 - our own names
    " credential_version, retired_key_ids, former, may_have_issued, changed, run, state)"
    " SELECT identifier, user_id, email, role, provider_user_id, key_id, decode(sealed, 'base64'),"
    " (key_id IS NOT NULL)::int, unsettled, former, doubtful, changed, run,"
    " CASE WHEN done THEN 'synced' ELSE 'pending' END"
    f" FROM {_ROWS}, email text, role text,"
    " provider_user_id text, key_id text, sealed text, unsettled text[], former jsonb, doubtful boolean,"
    " changed text[], done boolean)"
    " ORDER BY identifier, user_id"
    " ON CONFLICT (identifier, user_id) DO UPDATE SET email = excluded.email, role = excluded.role,"
    " provider_user_id = excluded.provider_user_id, retired_key_ids = excluded.retired_key_ids,"
    " key_id = coalesce(excluded.key_id, m.key_id),"
    " sealed_secret = CASE WHEN excluded.key_id IS NULL THEN m.sealed_secret ELSE excluded.sealed_secret END,"
    " credential_version = m.credential_version + excluded.credential_version,"
    # What an older run's attempt asked of the cloud may be carried out after this run has read the keys.
    " may_have_issued = excluded.may_have_issued OR m.may_have_issued, former = excluded.former,"
    " changed = excluded.changed, failure = NULL, run = excluded.run, state = excluded.state, updated_at = now()"
)
REVOKE = (
    "INSERT INTO member_records AS m (identifier, user_id, email, run, state)"  # noqa: S608 - our own names
    f" SELECT identifier, user_id, email, run, 'revoked' FROM {_ROWS}, email text) ORDER BY identifier, user_id"
    " ON CONFLICT (identifier, user_id) DO UPDATE SET role = NULL, key_id = NULL, sealed_secret = NULL,"
    " retired_key_ids = '{}', asked_email = NULL, asked_role = NULL, former = '[]', changed = '{}',"
    # A key that an attempt asked for may still come, and would work once its user is back; a removed project has none.
    " may_have_issued = m.may_have_issued AND NOT EXISTS (SELECT FROM runs WHERE runs.identifier = m.identifier"
    " AND runs.kind = 'remove'),"
    " failure = NULL, run = excluded.run, state = 'revoked', updated_at = now()"
)
FAIL = (
    "INSERT INTO member_records AS m (identifier, user_id, email, failure, asked_email, asked_role, may_have_issued,"  # noqa: S608 - our own text
    " run, state) SELECT identifier, user_id, email, failure, email, asked_role, asked_role IS NOT NULL, run, 'failed'"
    f" FROM {_ROWS}, email text, asked_role text, failure jsonb) ORDER BY identifier, user_id"
    " ON CONFLICT (identifier, user_id) DO UPDATE SET failure = excluded.failure, changed = '{}', run = excluded.run,"
    " state = 'failed', updated_at = now(), may_have_issued = m.may_have_issued OR excluded.may_have_issued,"
    f" asked_email = excluded.asked_email, asked_role = coalesce(excluded.asked_role, m.asked_role), {KEEP_FORMER}"
)
_UPDATE = (
    f"WITH held AS (SELECT m.ctid FROM member_records AS m JOIN {_ROWS}) USING (identifier, user_id)"  # noqa: S608 - as above
    " WHERE m.run <= r.run ORDER BY identifier, user_id FOR UPDATE OF m)"
    " UPDATE member_records AS m SET {changes} FROM held WHERE m.ctid = held.ctid"
)
DOUBT = _UPDATE.format(changes=DOUBT_ACCESS)
CERTAIN = _UPDATE.format(
    changes="may_have_issued = false, former = '[]', asked_email = NULL,"
    " asked_role = CASE WHEN m.role IS NULL THEN m.asked_role END"
)


_FORMER = TypeAdapter(tuple[UserRecord, ...])


async def of_project(executor: Executor, identifier: str) -> dict[int, Member]:
    """Everybody ever recorded for the project, by user id."""
    return {row.user_id: _member(row) for row in (await executor.execute(OF_PROJECT, {"identifier": identifier})).all()}


async def uncertain(executor: Executor, identifier: str, age: float) -> tuple[Member, ...]:
    """Those of whom the cloud may hold a key that we do not know, and of whom nothing was recorded for ``age`` s."""
    rows = await executor.execute(UNCERTAIN, {"identifier": identifier, "age": age})
    return tuple(map(_member, rows.all()))


async def record(tx: Transaction, reports: Sequence[Report]) -> None:
    """Records what was reported, of new keys the sealed secrets.

    Who is revoked loses the sealed secrets with it. What users who were given up have on the cloud by our records
    stays, unless its end was begun; what the attempts may have left there beside it is looked for. Nothing is certain
    where a newer run has begun an attempt meanwhile.
    """
    await _write(tx, SUCCEED, reports, lambda report: map(_success, report.successes))
    await _write(
        tx, REVOKE, reports, lambda report: ({"user_id": user, "email": email} for user, email in report.revoked)
    )
    await _write(tx, FAIL, reports, lambda report: (_failure(*each) for each in report.failures))
    await _write(tx, DOUBT, reports, lambda report: ({"user_id": user} for user in report.doubted))
    await _write(tx, CERTAIN, reports, lambda report: ({"user_id": user} for user in report.certain))


def _success(each: Success) -> dict[str, Any]:
    return {
        "user_id": each.user_id,
        "email": each.email,
        "role": each.role,
        "provider_user_id": each.provider_user_id,
        "changed": each.changed,
        "key_id": each.key_id,
        "sealed": base64.b64encode(each.sealed).decode() if each.sealed else None,
        "unsettled": each.unsettled,
        "former": _FORMER.dump_python(each.former, mode="json", exclude_defaults=True) if each.former else (),
        "doubtful": each.doubtful,
        "done": each.done,
    }


def _failure(failure: ProvisioningFailed, asked_role: str | None) -> dict[str, Any]:
    return {
        "user_id": failure.user_id,
        "email": failure.email,
        "asked_role": asked_role,
        "failure": failure.model_dump(mode="json"),
    }


async def told(tx: Transaction, run: Run) -> list[Event]:
    """What this run has recorded of the users whom it names, as the events that told it."""
    rows = (await tx.execute(TOLD, {"identifier": run.identifier, "run": run.number})).all()
    roles = {each.user_id: each.role for each in run.participants}
    named = run.named
    return [_fact(run, each, roles) for each in map(_member, rows) if run.ends_access or each.user_id in named]


def _fact(run: Run, member: Member, roles: Mapping[int, str]) -> Event:
    if member.failure is not None and member.state == "failed":
        return ProvisioningFailed.model_validate_json(member.failure)
    about: dict[str, Any] = {"identifier": run.identifier, "run": run.number, "user_id": member.user_id}
    if member.state == "revoked":
        return UserRevoked.model_validate(about)
    return UserSynced(**about, role=roles.get(member.user_id, ""), changed=member.changed, credential_id=member.key_id)


async def _write(
    tx: Transaction,
    statement: str,
    reports: Sequence[Report],
    users: Callable[[Report], Iterable[Mapping[str, Any]]],
) -> None:
    rows = [
        {"identifier": report.identifier, "run": report.run, **user} for report in reports for user in users(report)
    ]
    if rows:
        await tx.execute(statement, {"rows": to_json(rows).decode()})


def _member(row: Any) -> Member:
    fields: dict[str, Any] = dict(row._mapping)
    former = _FORMER.validate_json(fields["former"])
    return Member(
        **fields | {name: tuple(fields[name]) for name in ("retired_key_ids", "changed")} | {"former": former}
    )
