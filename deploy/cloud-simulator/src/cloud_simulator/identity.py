"""The identity calls under `/api/v2/identity`, for an admin whose token is scoped to one account."""

from typing import Any

from cloud_simulator.answers import NO_CONTENT, Answer, json_answer
from cloud_simulator.cloud import ROLES, Project, User, role_name
from cloud_simulator.errors import Forbidden, Invalid
from cloud_simulator.login import authenticate
from cloud_simulator.routes import Call, Route
from cloud_simulator.simulator import Simulator

_ROLE = "/identity/projects/{p}/users/{u}/roles/{r}"
_POLICY = "/identity/projects/{p}/users/{u}/policies/{policy}"


def list_domains(simulator: Simulator, call: Call) -> Answer:
    """Every account, whatever the token's scope. No filter is accepted."""
    _accept_filters(call)
    domains = [{"id": a.id, "name": a.name, "enabled": True} for a in simulator.cloud.accounts.values()]
    return json_answer(200, {"domains": domains})


def list_roles(_: Simulator, call: Call) -> Answer:
    """The roles that can be granted."""
    _accept_filters(call)
    return json_answer(200, {"roles": [{"id": role_id, "name": name} for name, role_id in ROLES.items()]})


def list_projects(simulator: Simulator, call: Call) -> Answer:
    """The account's projects, as a bare list or inside an object."""
    return _listing(simulator, call, "projects", simulator.cloud.projects)


def list_users(simulator: Simulator, call: Call) -> Answer:
    """The account's users, as a bare list or inside an object."""
    return _listing(simulator, call, "users", simulator.cloud.users)


def create_project(simulator: Simulator, call: Call) -> Answer:
    """201 with the project."""
    body = call.json_object()
    name = _text(body, "name")
    account_id = _account_id(call, body)
    tags = body.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Invalid("tags must be a list of strings.")
    simulator.faults.refuse_project(name)
    project = simulator.cloud.create_project(account_id, name, _text(body, "description", required=False), tags)
    return Answer(201, project.document)


def delete_project(simulator: Simulator, call: Call) -> Answer:
    """204; the grants, policies and keys within go with it."""
    project = simulator.cloud.project(call.params["p"], call.account_id)
    simulator.faults.refuse_project(project.name)
    simulator.keyring.drop(simulator.cloud.delete_project(project))
    return NO_CONTENT


def create_user(simulator: Simulator, call: Call) -> Answer:
    """201 with the user. `project_id` only names the default project; it grants nothing."""
    body = call.json_object()
    name, password = _text(body, "name"), _text(body, "password")
    email = _text(body, "email", required=False)
    account_id = _account_id(call, body)
    project_id = _text(body, "project_id", required=False) or None
    simulator.faults.refuse_user(name, email)
    if project_id is not None:
        simulator.cloud.project(project_id, account_id)
    user = simulator.cloud.create_user(account_id, name, email, password, project_id)
    return Answer(201, user.document)


def set_password(simulator: Simulator, call: Call) -> Answer:
    """200 with the user. Nothing but the password can be changed."""
    user = _writable_user(simulator, call)
    simulator.cloud.set_password(user, _text(call.json_object(), "password"))
    return Answer(200, user.document)


def delete_user(simulator: Simulator, call: Call) -> Answer:
    """204; the user's grants, policies and keys go with it."""
    simulator.keyring.drop(simulator.cloud.delete_user(_writable_user(simulator, call)))
    return NO_CONTENT


def grant_role(simulator: Simulator, call: Call) -> Answer:
    """204, and again 204."""
    project, user = _place(simulator, call)
    simulator.cloud.grant(project, user, role_name(call.params["r"]))
    return NO_CONTENT


def revoke_role(simulator: Simulator, call: Call) -> Answer:
    """204, then 404."""
    project, user = _place(simulator, call)
    simulator.cloud.revoke(project, user, role_name(call.params["r"]))
    return NO_CONTENT


def attach_policy(simulator: Simulator, call: Call) -> Answer:
    """204, and again 204; any name is a policy. The real path is not public: this one is our guess."""
    project, user = _place(simulator, call)
    simulator.cloud.hold(project, user).policies.add(call.params["policy"])
    return NO_CONTENT


def detach_policy(simulator: Simulator, call: Call) -> Answer:
    """204, then 404."""
    project, user = _place(simulator, call)
    simulator.cloud.detach_policy(project, user, call.params["policy"])
    return NO_CONTENT


def list_role_assignments(simulator: Simulator, call: Call) -> Answer:
    """One user's roles; a filter by project is not attested on the real cloud, so it is refused."""
    user_id = _accept_filters(call, "user.id").get("user.id")
    if not user_id:
        raise Invalid("role_assignments needs the filter user.id.")
    user = simulator.cloud.user(user_id, call.account_id)
    assignments = [
        {
            "role": {"id": ROLES[access.role], "name": access.role},
            "user": {"id": user.id},
            "scope": {"project": {"id": project_id}},
        }
        for project_id, access in simulator.cloud.held(user)
        if access.role
    ]
    return json_answer(200, {"role_assignments": assignments})


def _listing(simulator: Simulator, call: Call, collection: str, per_account: dict[str, dict[str, Any]]) -> Answer:
    account_id = _account_id(call, _accept_filters(call, "domain_id"))
    body = b"[" + b",".join([item.document for item in per_account[account_id].values()]) + b"]"
    if simulator.wraps(collection):
        body = b'{"%s":%s}' % (collection.encode(), body)
    return Answer(200, body)


def _accept_filters(call: Call, *names: str) -> dict[str, str]:
    """The query. Raises Invalid for a filter that is not attested, rather than ignore it as if it had been applied."""
    query = call.query()
    if unknown := query.keys() - set(names):
        raise Invalid(f"Additional properties are not allowed: {', '.join(sorted(unknown))}.")
    return query


def _account_id(call: Call, source: dict[str, Any]) -> str:
    """The token's account, which `domain_id` may only repeat."""
    if call.account_id is None:
        raise Forbidden("The token has no scope.")
    if source.get("domain_id") not in (None, "", call.account_id):
        raise Forbidden("The token is scoped to another account.")
    return call.account_id


def _writable_user(simulator: Simulator, call: Call, param: str = "id") -> User:
    user = simulator.cloud.user(call.params[param], call.account_id)
    simulator.faults.refuse_user(user.name, user.email)
    return user


def _place(simulator: Simulator, call: Call) -> tuple[Project, User]:
    return simulator.cloud.project(call.params["p"], call.account_id), _writable_user(simulator, call, "u")


def _text(body: dict[str, Any], name: str, *, required: bool = True) -> str:
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise Invalid(f"{name} must be a string that is not empty.")
    return value


ROUTES = [
    Route("POST /identity/auth", authenticate, is_public=True),
    Route("GET /identity/domains", list_domains),
    Route("GET /identity/roles", list_roles),
    Route("GET /identity/role_assignments", list_role_assignments),
    Route("GET /identity/projects", list_projects),
    Route("POST /identity/projects", create_project, latency="project", has_effect=True),
    Route("DELETE /identity/projects/{p}", delete_project, has_effect=True),
    Route("GET /identity/users", list_users),
    Route("POST /identity/users", create_user, latency="user", has_effect=True),
    Route("PUT /identity/users/{id}", set_password, has_effect=True),
    Route("DELETE /identity/users/{id}", delete_user, has_effect=True),
    Route(f"PUT {_ROLE}", grant_role, has_effect=True),
    Route(f"DELETE {_ROLE}", revoke_role, has_effect=True),
    Route(f"PUT {_POLICY}", attach_policy, has_effect=True),
    Route(f"DELETE {_POLICY}", detach_policy, has_effect=True),
]
