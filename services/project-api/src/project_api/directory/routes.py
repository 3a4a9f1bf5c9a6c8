"""Tenants, users, regions and suggestions: changed by admins, read by tenant admins as far as their tenant goes."""

from collections.abc import Mapping
from typing import Annotated, Any

from backbone.database import Connection
from fastapi import APIRouter, Path, Query, Request, Response

from project_api import audit
from project_api.directory import models, tenants, users
from project_api.directory.people import LOCK, User
from project_api.parts import Caller, CallerDep
from project_api.runs import user_runs
from project_api.web.answers import Json
from project_api.web.errors import forbidden, not_found
from project_api.web.paging import paged

NO_USER = "There is no such user."
NO_TENANT = "There is no such tenant."

Id = Annotated[int, Path(ge=1, le=2**53 - 1)]

admin = APIRouter(prefix="/admin/v1", tags=["directory"])
readers = APIRouter(tags=["directory"])


def answer(status: int = 200, /, **members: Any) -> Response:
    """A success."""
    return Json({"success": True, **members}, status)


def own_tenant(caller: Caller, asked: int | None) -> int | None:
    """The tenant to look into; None is every one. Raises a 403 for members, a 404 for somebody else's tenant."""
    principal = caller.principal
    if principal.is_admin:
        return asked
    if principal.role != "tenant_admin":
        raise forbidden("Only administrators may see the directory.")
    if asked not in (None, principal.tenant_id):
        raise not_found(NO_TENANT)
    return principal.tenant_id


# --- reading, for all three audiences


@readers.get("/regions", response_model=models.Regions)
async def list_regions(caller: CallerDep) -> Response:
    """The regions that a project can be in."""
    regions = caller.parts.regions.values()
    return answer(
        data=[
            {"code": r.code, "name": r.name, "region": r.code, "provider": r.provider, "is_active": r.is_active}
            for r in regions
        ]
    )


@readers.get("/tenants", response_model=models.TenantList)
async def list_tenants(request: Request, caller: CallerDep, query: Annotated[models.TenantQuery, Query()]) -> Response:
    """The tenants by name."""
    own_tenant(caller, None)
    async with caller.reading() as connection:
        found, total = await tenants.search(connection, query)
    return Json(paged(query, list(map(_plain, found)), request.url.path, total))


@readers.get("/users", response_model=models.UserList)
async def list_users(request: Request, caller: CallerDep, query: Annotated[models.UserQuery, Query()]) -> Response:
    """Users by id, all or those that match."""
    own = own_tenant(caller, query.tenant_id)
    async with caller.reading() as connection:
        found, total = await users.search(connection, query, own)
    return Json(paged(query, list(map(_plain, found)), request.url.path, total))


@readers.get("/project-memberships/suggestions", response_model=models.UserList)
async def suggest_members(
    request: Request, caller: CallerDep, query: Annotated[models.SuggestionQuery, Query()]
) -> Response:
    """Who could be chosen: `internal` users without a tenant, admins among them; else those of `tenant_id`."""
    own = own_tenant(caller, query.tenant_id)
    async with caller.reading() as connection:
        found, total = await _suggested(connection, query, own)
    return Json(paged(query, list(map(_plain, found)), request.url.path, total))


async def _suggested(
    connection: Connection, query: models.SuggestionQuery, tenant_id: int | None
) -> tuple[list[User], int]:
    internal = query.scope == "internal"
    if tenant_id is None and not internal:
        return [], 0
    return await users.suggestions(connection, None if internal else tenant_id, query)


# --- tenants


@admin.post("/tenants", status_code=201, response_model=models.TenantAnswer)
async def create_tenant(caller: CallerDep, body: models.TenantBody) -> Response:
    """A new tenant."""
    async with caller.transaction() as tx:
        tenant = await tenants.create(tx, body.name)
        await audit.record(tx, caller.principal, "tenant.created", f"tenant {tenant.id}", name=tenant.name)
    return answer(201, message="Tenant created.", data=tenant)


@admin.get("/tenants/{tenant_id:int}", response_model=models.TenantAnswer)
async def show_tenant(caller: CallerDep, tenant_id: Id) -> Response:
    """One tenant."""
    async with caller.transaction() as tx:
        tenant = await tenants.find(tx, tenant_id)
    if tenant is None:
        raise not_found(NO_TENANT)
    return answer(message="", data=tenant)


@admin.patch("/tenants/{tenant_id:int}", response_model=models.TenantAnswer)
async def rename_tenant(caller: CallerDep, tenant_id: Id, body: models.TenantBody) -> Response:
    """The tenant's new name."""
    async with caller.transaction() as tx:
        tenant = await tenants.rename(tx, tenant_id, body.name)
        if tenant is None:
            raise not_found(NO_TENANT)
        await audit.record(tx, caller.principal, "tenant.renamed", f"tenant {tenant_id}", name=tenant.name)
    return answer(message="Tenant updated.", data=tenant)


@admin.delete("/tenants/{tenant_id:int}", response_model=models.Done)
async def remove_tenant(caller: CallerDep, tenant_id: Id) -> Response:
    """Removes a tenant that has neither users nor projects; else a 409."""
    async with caller.transaction() as tx:
        if not await tenants.remove(tx, tenant_id):
            raise not_found(NO_TENANT)
        await audit.record(tx, caller.principal, "tenant.removed", f"tenant {tenant_id}")
    return answer(message="Tenant removed.", runs=[])


# --- users


@admin.post("/users", status_code=201, response_model=models.UserAnswer)
async def create_user(caller: CallerDep, body: models.UserBody) -> Response:
    """A new user, who joins projects at their next provision, or by `sync-projects`."""
    async with caller.transaction() as tx:
        user = await users.create(tx, body.name, body.email, body.role, body.tenant_id)
        await audit.record(tx, caller.principal, "user.created", f"user {user.id}", **_plain(user))
    return answer(201, message="User created.", data=user, runs=[])


@admin.post(
    "/users/import",
    status_code=201,
    response_model=models.Imported,
    openapi_extra={"requestBody": models.IMPORT_BODIES},
)
async def import_users(request: Request, caller: CallerDep) -> Response:
    """Creates many users at once, all or none; who is there already, by e-mail, stays as they are."""
    wanted = models.parse_import(await request.body(), request.headers.get("content-type", ""))
    async with caller.transaction() as tx:
        created = await users.create_many(tx, [user.model_dump() for user in wanted.users])
        await audit.record(tx, caller.principal, "users.imported", "users", created=[user.id for user in created])
    existing = len(wanted.users) - len(created)
    words = f"{len(created)} users created, {existing} were there already."
    return answer(201, message=words, data=created, created=len(created), existing=existing)


@admin.get("/users/{user_id:int}", response_model=models.UserAnswer)
async def show_user(caller: CallerDep, user_id: Id) -> Response:
    """One user."""
    async with caller.transaction() as tx:
        user = await users.find(tx, user_id)
    if user is None:
        raise not_found(NO_USER)
    return answer(message="", data=user, runs=[])


@admin.patch("/users/{user_id:int}", response_model=models.UserAnswer)
async def change_user(caller: CallerDep, user_id: Id, body: models.UserChanges) -> Response:
    """Changes a user. A new role or e-mail starts runs in their projects, a new tenant in those that only the former
    one put them in; a new role or tenant ends their tokens."""
    async with caller.transaction() as tx:
        changed = await users.change(tx, user_id, body.model_dump(exclude_unset=True))
        if changed is None:
            raise not_found(NO_USER)
        before, after = changed
        runs = await user_runs.user_changed(tx, before, after, caller.parts)
        await audit.record(tx, caller.principal, "user.changed", f"user {user_id}", **_plain(after))
    return answer(message="User updated.", data=after, runs=runs)


@admin.delete("/users/{user_id:int}", response_model=models.Done)
async def remove_user(caller: CallerDep, user_id: Id) -> Response:
    """Removes a user: their tokens end, and runs start in their projects that take their access away."""
    async with caller.transaction() as tx:
        before = await users.remove(tx, user_id)
        if before is None:
            raise not_found(NO_USER)
        runs = await user_runs.user_changed(tx, before, None, caller.parts)
        await audit.record(tx, caller.principal, "user.removed", f"user {user_id}", email=before.email)
    return answer(message="User removed.", runs=runs)


@admin.post("/users/{user_id:int}/sync-projects", status_code=202, response_model=models.Done)
async def sync_projects(caller: CallerDep, user_id: Id) -> Response:
    """Starts runs that bring the user into every project that their role and tenant put them in."""
    async with caller.transaction() as tx:
        await tx.execute(LOCK)
        user = await users.find(tx, user_id)
        if user is None:
            raise not_found(NO_USER)
        runs = await user_runs.join_projects(tx, user, caller.parts)
        await audit.record(tx, caller.principal, "user.projects_synced", f"user {user_id}", runs=runs)
    return answer(202, message=f"Runs started in {len(runs)} projects.", runs=runs)


def _plain(item: Any) -> Mapping[str, Any]:
    return {name: getattr(item, name) for name in item.__slots__}


router = APIRouter()
router.include_router(admin)
for _prefix in ("/admin/v1", "/tenant/v1/admin", "/api/v1/business"):
    router.include_router(readers, prefix=_prefix)
