"""Creating a project: checked, stored and told of in one transaction, with as many statements for one user as for 500.

No cloud and no broker is asked meanwhile; the event leaves through the outbox once it is committed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from asyncpg.exceptions import UniqueViolationError
from backbone.database import Transaction
from contracts.events import Participant, ProjectCreated
from contracts.status import Kind, UserStatus, opening_picture, size_class
from pydantic_core import to_json
from sqlalchemy import text

from project_api import access, estimates, idempotency, participants, pictures, runs
from project_api.directory import SHARED_LOCK, VERSIONS, People, UnknownTenant, User
from project_api.errors import Problem, forbidden, invalid
from project_api.idempotency import Answer, Key
from project_api.identifiers import new_identifier
from project_api.parts import Caller
from project_api.prepared import Prepared
from project_api.requests import ProjectBody

CREATED = "Project created successfully. Infrastructure provisioning in progress."
RETRY_AFTER = "2"
DEFAULT_PROVIDER = "zadara"
ATTEMPTS = 4

LOOK = text(
    # The lock keeps the directory as it is until this commits; the next statement then sees it as it stays.
    f"SELECT now() AS now, {SHARED_LOCK}, k.status, k.headers, k.body, k.fingerprint,"  # noqa: S608 - our own words
    " CASE WHEN CAST(:lock AS bigint) IS NULL THEN true ELSE pg_try_advisory_xact_lock(:lock) END AS mine,"
    " (SELECT json_object_agg(size_class, json_build_array(runs, p50_seconds, p95_seconds))"
    " FROM status_projector.estimates WHERE provider = :provider AND region = :region) AS estimates"
    " FROM (VALUES (1)) AS one LEFT JOIN idempotency_keys AS k ON k.scope = :scope AND k.key = :key"
)
INSERT = Prepared(
    f"""
    WITH project AS (
        INSERT INTO projects (identifier, tenant_id, name, description, provider, region, type, assignment_scope,
            client_id, owner_id, availability_zone, user_policies, metadata, created_by, command, participants,
            deadline_at, estimate)
        VALUES (:identifier, :tenant_id, :name, :description, :provider, :region, :type, :assignment_scope,
            :client_id, :owner_id, :availability_zone, CAST(:user_policies AS jsonb), CAST(:metadata AS jsonb),
            :created_by, CAST(:command AS jsonb), :participants, :deadline_at, CAST(:estimate AS jsonb))
        ON CONFLICT (tenant_id, name) WHERE goal <> 'remove' DO NOTHING
        RETURNING identifier, tenant_id
    ), people AS (
        INSERT INTO participants (identifier, tenant_id, user_id, position, email, name, role, reasons)
        SELECT project.identifier, project.tenant_id, each.user_id, each.position, each.email, each.name, each.role,
            each.reasons
        FROM project, jsonb_to_recordset(CAST(:people AS jsonb)) AS each
            (user_id bigint, position integer, email text, name text, role text, reasons text[])
    ), answer AS (
        INSERT INTO idempotency_keys (scope, key, fingerprint, status, headers, body)
        SELECT CAST(:scope AS text), CAST(:key AS text), CAST(:fingerprint AS bytea), CAST(:status AS integer),
            CAST(:headers AS jsonb), CAST(:body AS bytea)
        FROM project WHERE CAST(:key AS text) IS NOT NULL
    )
    SELECT EXISTS (SELECT FROM project) AS stored, {VERSIONS} AS versions
    """  # noqa: S608 - our own words
)


class _DirectoryMoved(Exception):
    """Somebody changed the directory since it was looked at; what was stored is undone and done again."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        super().__init__(versions)
        self.versions = versions


async def create(caller: Caller, body: ProjectBody, key: Key | None, path: str) -> Answer:
    """Stores the project and answers 201, or with what the key's first request was answered; ``path`` is the list's.

    Raises a 403 for a member, a 409 while the key's first request runs, a 422 for what cannot be.
    """
    if not access.may_write(caller):
        raise forbidden("Only administrators may create projects.")
    wanted = _checked(caller, body)
    at_least: Mapping[str, int] | None = None
    for attempt in range(ATTEMPTS):
        try:
            people = await _people(caller, wanted, at_least)
            return await _store(caller, wanted, people, key, path)
        except _DirectoryMoved as moved:
            at_least = moved.versions
        except UniqueViolationError:
            # The key's first request has just committed, or an identifier was drawn twice: the next look tells.
            if attempt == ATTEMPTS - 1:
                raise
    raise Problem(503, "The directory is changing. Try again shortly.", headers={"Retry-After": "1"})


def _checked(caller: Caller, body: ProjectBody) -> ProjectBody:
    """The body with tenant and provider filled in. Raises a 422 for a tenant, provider or region that cannot be."""
    principal = caller.principal
    tenant_id = body.tenant_id
    if not principal.is_admin:
        if tenant_id not in (None, principal.tenant_id):
            raise invalid("tenant_id", "The selected tenant_id is invalid: there is no such tenant.")
        tenant_id = principal.tenant_id
    provider = body.provider or DEFAULT_PROVIDER
    regions = caller.parts.regions
    if provider not in {region.provider for region in regions.values()}:
        raise invalid("provider", f"The selected provider is invalid: there is no provider {provider}.")
    region = regions.get(body.region)
    if region is None or not region.is_active or region.provider != provider:
        raise invalid("region", f"The selected region is invalid: {provider} has no active region {body.region}.")
    return body.model_copy(update={"tenant_id": tenant_id, "provider": provider})


async def _people(caller: Caller, body: ProjectBody, at_least: Mapping[str, int] | None) -> People:
    chosen = [*body.explicit, caller.principal.user_id]
    chosen += [each for each in (body.client_id, body.user_id) if each is not None]
    try:
        people = await caller.parts.directory.people(body.tenant_id, list(dict.fromkeys(chosen)), at_least)
    except UnknownTenant:
        raise invalid("tenant_id", "The selected tenant_id is invalid: there is no such tenant.") from None
    for field, ids in (
        ("member_user_ids" if body.user_ids is None else "user_ids", body.explicit),
        ("client_id", [body.client_id]),
        ("user_id", [body.user_id]),
    ):
        for each in ids:
            if each is not None and not may_name(caller, people.chosen.get(each)):
                raise invalid(field, f"The selected {field} is invalid: there is no user {each}.")
    return people


def may_name(caller: Caller, user: User | None) -> bool:
    """Whether the caller may bring this user in: admins anybody, others whom they can see (their tenant, admins)."""
    if user is None or caller.principal.is_admin:
        return user is not None
    return user.role == "admin" or user.tenant_id == caller.principal.tenant_id


def gather(
    people: People, *, explicit: Sequence[int], creator: int, client: int | None, owner: int | None
) -> tuple[Participant, ...]:
    """Everybody who is to be in a project, by the directory as it is."""

    def chosen(*ids: int | None) -> list[User]:
        return [people.chosen[each] for each in ids if each is not None and each in people.chosen]

    return participants.gather(
        {
            "explicit": chosen(*explicit),
            "admin": people.admins,
            "tenant": people.tenant_users,
            "creator": chosen(creator),
            "client": chosen(client),
            "owner": chosen(owner),
        }
    )


async def _store(caller: Caller, body: ProjectBody, people: People, key: Key | None, path: str) -> Answer:
    everybody = gather(
        people,
        explicit=body.explicit,
        creator=caller.principal.user_id,
        client=body.client_id,
        owner=body.user_id,
    )
    async with caller.transaction() as tx:
        look = await _look(tx, body, key)
        if key and (kept := key.replay(look)):
            return kept
        values = _values(caller, body, everybody, look)
        answer = _answer(values, body, people, everybody, path)
        keeping = key.values(answer) if key else dict.fromkeys(NOT_KEPT)
        row = await INSERT.row(tx.connection, {**values, **keeping, "directory_names": people.names})
        if not people.is_current(row.versions):
            raise _DirectoryMoved(row.versions)
        if not row.stored:
            answer = _name_taken(body)
            if key:
                await tx.execute(idempotency.STORE, key.values(answer))
            return answer
        tx.emit(_event(values, everybody))
    return answer


NOT_KEPT = ("scope", "key", "fingerprint", "status", "headers", "body")


async def _look(tx: Transaction, body: ProjectBody, key: Key | None) -> Any:
    values = {"provider": body.provider, "region": body.region}
    own = {"lock": key.lock, "scope": key.scope, "key": key.key} if key else {"lock": None, "scope": "", "key": ""}
    look = (await tx.execute(LOOK, {**values, **own})).one()
    if not look.mine:
        raise idempotency.running()
    tx.now = look.now
    return look


def _values(caller: Caller, body: ProjectBody, everybody: Sequence[Participant], look: Any) -> dict[str, Any]:
    now: datetime = look.now
    learned = estimates.estimate(*(look.estimates or {}).get(size_class(len(everybody)), (None, None, None)))
    return {
        "identifier": new_identifier(),
        "tenant_id": body.tenant_id,
        "name": body.name,
        "description": body.description or "",
        "provider": body.provider,
        "region": body.region,
        "type": body.type,
        "assignment_scope": body.assignment_scope,
        "client_id": body.client_id,
        "owner_id": body.user_id,
        "availability_zone": body.availability_zone,
        "user_policies": _text(body.user_policies),
        "metadata": _text(body.metadata),
        "created_by": caller.principal.user_id,
        "command": _text({"type": ProjectCreated.__name__, "rotate_on_link": True}),
        "participants": len(everybody),
        "requested_at": now,
        "deadline_at": now + timedelta(seconds=caller.parts.settings.run_deadline_seconds),
        "estimate": _text(learned),
        "learned": learned,
        "people": to_json([{**vars(each), "position": n} for n, each in enumerate(everybody)]).decode(),
        "run": 1,
    }


def _event(values: Mapping[str, Any], everybody: Sequence[Participant]) -> Any:
    return runs.event(values, {"type": ProjectCreated.__name__, "rotate_on_link": True}, everybody)


def _answer(
    values: Mapping[str, Any], body: ProjectBody, people: People, everybody: Sequence[Participant], path: str
) -> Answer:
    now = values["requested_at"]
    row = SimpleNamespace(**{**values, "created_at": now, "updated_at": now, "estimate": values["learned"]})
    shown = opening_picture(Kind.PROVISION, len(everybody), now).model_dump(mode="json")
    times = pictures.times(row, shown)
    tenant = people.tenant
    content = {
        "success": True,
        "message": CREATED,
        "status": shown["status"],
        "identifier": row.identifier,
        "estimated_completion": times["estimated_completion"],
        "estimate": times["estimate"],
        "data": {
            **pictures.resource(row, shown),
            "type": body.type,
            "assignment_scope": body.assignment_scope,
            "client_id": body.client_id,
            "user_id": body.user_id,
            "user_policies": body.user_policies,
            "metadata": body.metadata,
            "created_by": row.created_by,
            "tenant": {"id": tenant.id, "name": tenant.name} if tenant else None,
            "users": [_user(each) for each in everybody],
        },
    }
    return Answer(201, {"Location": f"{path}/{row.identifier}", "Retry-After": RETRY_AFTER}, to_json(content))


def _user(each: Participant) -> dict[str, Any]:
    return {
        "id": each.user_id,
        "name": each.name,
        "email": each.email,
        "role": each.role,
        "reasons": each.reasons,
        "status": UserStatus.NOT_STARTED,
    }


def _name_taken(body: ProjectBody) -> Answer:
    problem = name_taken(body.name)
    return Answer(problem.status, problem.headers, to_json(problem.body()))


def name_taken(name: str) -> Problem:
    """The 422 of a name that another project of the tenant has."""
    return invalid("name", f"The name has already been taken: there is a project {name} already.")


def _text(value: Any) -> str | None:
    return None if value is None else to_json(value).decode()
