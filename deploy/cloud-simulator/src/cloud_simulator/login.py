"""`POST /identity/auth`: Keystone's password login, with project or domain scope."""

from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any

from cloud_simulator.answers import Answer, json_answer
from cloud_simulator.cloud import Project, User
from cloud_simulator.errors import Invalid, NotFound, Unauthorized
from cloud_simulator.routes import Call
from cloud_simulator.simulator import Simulator

_WRONG = "The request you have made requires authentication."
_ADMIN_ID = "admin"


def authenticate(simulator: Simulator, call: Call) -> Answer:
    """201 with the token in `X-Subject-Token`; 401 for every reason that a login fails, as the real cloud does."""
    auth = _object(call.json_object(), "auth")
    login = _object(_object(_object(auth, "identity"), "password"), "user")
    if (kind := simulator.faults.behaviour.login) == "mfa":
        raise MfaRequired("Additional authentications steps required.")
    if kind == "locked":
        raise Unauthorized("The account is locked for user.")
    user = _verify(simulator, login)
    account_id, project = _scope(simulator, auth.get("scope"))
    if user is not None and (account_id != user.account_id or not _has_role(simulator, user, project)):
        raise Unauthorized(_WRONG)
    token = simulator.tokens.issue(account_id, is_admin=user is None)
    shown = _token_document(simulator, login, user, account_id, project)
    return json_answer(201, {"token": shown}, ((b"x-subject-token", token.encode()),))


class MfaRequired(Unauthorized):
    """Answered with an `openstack-auth-receipt`, which a further step would need."""


def _verify(simulator: Simulator, login: dict[str, Any]) -> User | None:
    """The user whose password this is; None is the cloud's admin, who may name any account as theirs."""
    name, password = login.get("name") or login.get("id"), login.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise Invalid("auth.identity.password.user needs name (with domain) or id, and password.")
    settings = simulator.settings
    if name.casefold() == settings.username.casefold() or name == _ADMIN_ID:
        if not compare_digest(password.encode(), settings.password.encode()):
            raise Unauthorized(_WRONG)
        return None
    return simulator.cloud.verify_password(_account_id(simulator, login.get("domain")), name, password)


def _scope(simulator: Simulator, scope: Any) -> tuple[str | None, Project | None]:
    """The account, and the project where the scope names one. Raises Unauthorized where there is no such."""
    if scope is None:
        return None, None
    if isinstance(scope, dict) and isinstance(domain := scope.get("domain"), dict):
        return _account_id(simulator, domain), None
    if not isinstance(scope, dict) or not isinstance(named := scope.get("project"), dict):
        raise Invalid("auth.scope needs a project or a domain.")
    try:
        if "id" in named:
            project = simulator.cloud.project(str(named["id"]))
        else:
            project = simulator.cloud.find_project(_account_id(simulator, named.get("domain")), str(named.get("name")))
    except NotFound:
        raise Unauthorized(_WRONG) from None
    return project.account_id, project


def _account_id(simulator: Simulator, domain: Any) -> str:
    """Raises Unauthorized: an unknown account is no different from a wrong password."""
    named = domain if isinstance(domain, dict) else {}
    try:
        return simulator.cloud.account(str(named.get("id") or named.get("name"))).id
    except NotFound:
        raise Unauthorized(_WRONG) from None


def _has_role(simulator: Simulator, user: User, project: Project | None) -> bool:
    if project is None:
        return True
    access = simulator.cloud.access[project.id].get(user.id)
    return access is not None and access.role is not None


def _token_document(
    simulator: Simulator, login: dict[str, Any], user: User | None, account_id: str | None, project: Project | None
) -> dict[str, Any]:
    now = datetime.now(UTC)
    document: dict[str, Any] = {
        "methods": ["password"],
        "user": {"id": user.id if user else _ADMIN_ID, "name": user.name if user else login.get("name", _ADMIN_ID)},
        "issued_at": now.isoformat(),
        "expires_at": (now + timedelta(seconds=simulator.faults.behaviour.token_ttl_s)).isoformat(),
    }
    domain = {"id": account_id, "name": simulator.cloud.accounts[account_id].name} if account_id else None
    if project is not None:
        document["project"] = {"id": project.id, "name": project.name, "domain": domain}
    elif domain is not None:
        document["domain"] = domain
    return document


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(value := parent.get(name), dict):
        raise Invalid(f"The login needs an object {name}.")
    return value
