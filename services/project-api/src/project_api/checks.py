"""Whether a project can be, and who would be in it: every 422 of a create that comes before anything is stored."""

from collections.abc import Mapping, Sequence

from contracts.events import Participant

from project_api import participants
from project_api.directory.people import People, UnknownTenant, User
from project_api.parts import Caller
from project_api.requests import ProjectBody
from project_api.web.errors import invalid

DEFAULT_PROVIDER = "zadara"


def checked(caller: Caller, body: ProjectBody) -> ProjectBody:
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


async def people_for(caller: Caller, body: ProjectBody, at_least: Mapping[str, int] | None) -> People:
    """Whom the project may be for. Raises a 422 for who is not there; nobody is refused by the cache alone."""
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
                if at_least is None:
                    return await people_for(caller, body, await caller.parts.directory.versions(body.tenant_id))
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
