"""Creating a project: checked, stored and told of in one transaction, with as many statements for one user as for 500.

No cloud and no broker is asked meanwhile; the event leaves through the outbox once it is committed.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from asyncpg.exceptions import UniqueViolationError
from backbone.context import current
from backbone.envelope import Message, pack, seal
from backbone.failpoints import failpoint
from contracts.events import Participant, ProjectCreated
from contracts.status import Kind, UserStatus, opening_picture, size_class
from pydantic_core import to_json

from project_api import access, checks, participants
from project_api.beforehand import NOTHING, Known
from project_api.directory.people import VERSIONS, People
from project_api.identifiers import new_identifier
from project_api.parts import Caller
from project_api.requests import ProjectBody
from project_api.runs import estimates, pictures, rules, sizes
from project_api.web import idempotency
from project_api.web.errors import Problem, forbidden, invalid
from project_api.web.idempotency import Answer, Key

CREATED = "Project created successfully. Infrastructure provisioning in progress."
RETRY_AFTER = "2"
SOURCE = "project-api"
CREATION = {"type": ProjectCreated.__name__}
ATTEMPTS = 4

WRITE = (
    # One statement is a transaction of its own: it spares BEGIN and COMMIT their ways. The tenant is entered, the
    # directory held and looked at, and the key's lock taken in the gate, before anything is read or written: a key's
    # row is under row-level security, and OFFSET 0 keeps its reading behind the gate.
    """
    WITH gate AS MATERIALIZED (
        SELECT set_config('uca.tenant', coalesce(CAST(:tenant_id AS text), ''), true),
            set_config('uca.user', CAST(CAST(:created_by AS bigint) AS text), true),
            directory_versions_held(CAST(:directory_names AS text[])) AS versions,
            CASE WHEN CAST(:lock AS bigint) IS NULL THEN true ELSE pg_try_advisory_xact_lock(:lock) END AS mine
    ), kept AS MATERIALIZED (
        SELECT earlier.* FROM gate CROSS JOIN LATERAL (
            SELECT status, headers, body, fingerprint FROM idempotency_keys
            WHERE gate.mine AND scope = CAST(:scope AS text) AND key = CAST(:key AS text) OFFSET 0
        ) AS earlier
    ), project AS (
        INSERT INTO projects (identifier, tenant_id, name, description, provider, region, type, assignment_scope,
            client_id, owner_id, availability_zone, user_policies, metadata, created_by, command, participants,
            created_at, updated_at, requested_at, deadline_at, estimate)
        SELECT :identifier, CAST(CAST(:tenant_id AS text) AS bigint), :name, :description, :provider, :region, :type,
            :assignment_scope, CAST(:client_id AS bigint), CAST(:owner_id AS bigint), :availability_zone,
            CAST(:user_policies AS jsonb), CAST(:metadata AS jsonb), CAST(:created_by AS bigint),
            CAST(:command AS jsonb), CAST(:participants AS integer), CAST(:requested_at AS timestamptz), :requested_at,
            :requested_at, CAST(:deadline_at AS timestamptz), CAST(:estimate AS jsonb)
        FROM gate WHERE gate.mine AND gate.versions = CAST(:versions AS jsonb) AND NOT EXISTS (SELECT FROM kept)
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
    ), message AS (
        INSERT INTO outbox (id, exchange, routing_key, content_type, headers, body)
        SELECT CAST(:message_id AS uuid), :exchange, :routing_key, :content_type, '{}', CAST(:message AS bytea)
        FROM project
    )
    SELECT EXISTS (SELECT FROM project) AS stored, gate.mine, gate.versions, kept.*
    FROM gate LEFT JOIN kept ON true
    """
)

CURRENT = f"SELECT {VERSIONS} AS versions"


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
    wanted = checks.checked(caller, body)
    at_least: Mapping[str, int] | None = None
    for attempt in range(ATTEMPTS):
        try:
            people = await checks.people_for(caller, wanted, at_least)
            return await _store(caller, wanted, people, key, path)
        except _DirectoryMoved as moved:
            at_least = moved.versions
        except UniqueViolationError:
            # The key's first request has just committed, or an identifier was drawn twice: the next look tells.
            if attempt == ATTEMPTS - 1:
                raise
    raise Problem(503, "The directory is changing. Try again shortly.", headers={"Retry-After": "1"})


async def _store(caller: Caller, body: ProjectBody, people: People, key: Key | None, path: str) -> Answer:
    everybody = checks.gather(
        people,
        explicit=body.explicit,
        creator=caller.principal.user_id,
        client=body.client_id,
        owner=body.user_id,
    )
    database = caller.database
    values = _values(caller, body, everybody, await caller.parts.beforehand.known())
    answer = _answer(values, body, people, everybody, path)
    message = _message(values, everybody)
    keeping = {**key.values(answer), "lock": key.lock} if key else NOT_KEPT
    held = {"directory_names": people.names, "versions": _text(people.versions)}
    async with database.reading() as connection:
        if len(message.body) > sizes.LARGEST_NEW:
            versions = (await connection.execute(CURRENT, held)).scalar_one()
            raise sizes.too_many(everybody) if people.is_current(versions) else _DirectoryMoved(versions)
        written = (await connection.execute(WRITE, {**values, **keeping, **held, **_sent(message)})).one()
        if not written.mine:
            raise idempotency.running()
        if key and (kept := key.replay(written)):
            return kept
        if not written.stored and not people.is_current(written.versions):
            raise _DirectoryMoved(written.versions)
        if not written.stored:
            answer = _name_taken(body)
            if key:
                await connection.execute(idempotency.STORE, {**key.values(answer), **caller.settings})
            return answer
    failpoint("after_commit")
    if database.on_commit:
        database.on_commit([message])
    return answer


NOT_KEPT = dict.fromkeys(("scope", "key", "fingerprint", "status", "headers", "body", "lock"))


def _message(values: Mapping[str, Any], everybody: Sequence[Participant]) -> Message:
    event = rules.event({**values, "tenant_id": values["tenant"]}, CREATION, everybody)
    (message,) = pack([seal(event, source=SOURCE, time=values["requested_at"], context=current.get())])
    return message


def _sent(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.id,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "content_type": message.content_type,
        "message": message.body,
    }


def _values(caller: Caller, body: ProjectBody, everybody: Sequence[Participant], known: Known) -> dict[str, Any]:
    now = known.now
    kind_of_run = (str(body.provider), body.region, size_class(len(everybody)))
    learned = estimates.estimate(*known.taken.get(kind_of_run, NOTHING))
    return {
        "identifier": new_identifier(),
        "tenant": body.tenant_id,
        "tenant_id": None if body.tenant_id is None else str(body.tenant_id),
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
        "command": _text(CREATION),
        "participants": len(everybody),
        "requested_at": now,
        "deadline_at": now + timedelta(seconds=caller.parts.settings.run_deadline_seconds),
        "estimate": _text(learned),
        "learned": learned,
        "people": participants.numbered(everybody),
        "run": 1,
    }


def _answer(
    values: Mapping[str, Any], body: ProjectBody, people: People, everybody: Sequence[Participant], path: str
) -> Answer:
    now = values["requested_at"]
    row = SimpleNamespace(
        **{**values, "created_at": now, "updated_at": now, "estimate": values["learned"], "tenant_id": body.tenant_id}
    )
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
