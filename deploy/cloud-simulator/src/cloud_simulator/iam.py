"""`/api/v2/aws/iam/`: access keys over the AWS query protocol (form in, XML out).

`ProjectId` is our addition to the query, since a key belongs to a user within a project; the real cloud takes the
project from whoever signs.
"""

import re
from uuid import uuid4
from xml.sax.saxutils import escape

from cloud_simulator.answers import Answer
from cloud_simulator.cloud import Project, User
from cloud_simulator.errors import Forbidden, Invalid, Refusal
from cloud_simulator.keys import Key
from cloud_simulator.routes import Call, Route
from cloud_simulator.simulator import Simulator

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 .*Credential=([^/,\s]+)/")
_CODES = {400: "ValidationError", 401: "InvalidClientTokenId", 403: "AccessDenied", 404: "NoSuchEntity"}


def create_access_key(simulator: Simulator, call: Call) -> Answer:
    """The secret is told this once. LimitExceeded at the limit of the user and project."""
    form = call.form()
    project = simulator.cloud.project(_required(form, "ProjectId"), call.account_id)
    user = _writable_user(simulator, call, form, project)
    key, secret = simulator.keyring.issue(project, user)
    inner = f"<AccessKey>{_key_fields(key, user)}<SecretAccessKey>{escape(secret)}</SecretAccessKey></AccessKey>"
    return _result("CreateAccessKey", inner)


def list_access_keys(simulator: Simulator, call: Call) -> Answer:
    """The user's keys, in one project where ProjectId names it."""
    form = call.form()
    project = _named_project(simulator, call, form)
    user = _user(simulator, call, form, project)
    keys = simulator.keyring.of(user, project.id if project else None)
    members = "".join(f"<member>{_key_fields(key, user)}</member>" for key in keys)
    inner = f"<AccessKeyMetadata>{members}</AccessKeyMetadata><IsTruncated>false</IsTruncated>"
    return _result("ListAccessKeys", inner)


def delete_access_key(simulator: Simulator, call: Call) -> Answer:
    """NoSuchEntity for a key that is gone, or is another user's."""
    form = call.form()
    user = _writable_user(simulator, call, form, _named_project(simulator, call, form))
    simulator.keyring.revoke(user, _required(form, "AccessKeyId"))
    return _result("DeleteAccessKey", None)


def refuse_action(_: Simulator, call: Call) -> Answer:
    """UpdateAccessKey too: the real cloud does not have it."""
    action = call.form().get("Action", "")
    raise Invalid(f"Could not find operation {action}.", code="InvalidAction")


def authorize_signed(simulator: Simulator, call: Call) -> None:
    """Raises Forbidden unless the request names the admin's access key. The signature itself is not verified."""
    found = _CREDENTIAL.match(call.headers.get(b"authorization", b"").decode("latin-1"))
    if found is None or found[1] != simulator.settings.access_key:
        raise Forbidden("The security token included in the request is invalid.", code="InvalidClientTokenId")


def error_answer(error: Refusal) -> Answer:
    """AWS's error document."""
    code = escape(error.code or _CODES.get(error.status, "ServiceFailure"))
    detail = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
    body = f'<ErrorResponse xmlns="{_NAMESPACE}">{detail}<RequestId>{uuid4()}</RequestId></ErrorResponse>'
    return Answer(error.status, body.encode(), b"text/xml")


def _result(action: str, inner: str | None) -> Answer:
    result = "" if inner is None else f"<{action}Result>{inner}</{action}Result>"
    metadata = f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata>"
    body = f'<{action}Response xmlns="{_NAMESPACE}">{result}{metadata}</{action}Response>'
    return Answer(200, body.encode(), b"text/xml")


def _key_fields(key: Key, user: User) -> str:
    return (
        f"<UserName>{escape(user.name)}</UserName><ProjectId>{key.project_id}</ProjectId>"
        f"<AccessKeyId>{key.access_key}</AccessKeyId><Status>Active</Status><CreateDate>{key.created_at}</CreateDate>"
    )


def _named_project(simulator: Simulator, call: Call, form: dict[str, str]) -> Project | None:
    return simulator.cloud.project(form["ProjectId"], call.account_id) if form.get("ProjectId") else None


def _user(simulator: Simulator, call: Call, form: dict[str, str], project: Project | None) -> User:
    """By name or id, in the project's account, else the token's, else the only one that there is."""
    accounts = simulator.cloud.accounts
    account_id = project.account_id if project else call.account_id
    if account_id is None and len(accounts) > 1:
        raise Invalid("A signed request to a cloud of several accounts needs ProjectId.")
    return simulator.cloud.find_user(account_id or next(iter(accounts)), _required(form, "UserName"))


def _writable_user(simulator: Simulator, call: Call, form: dict[str, str], project: Project | None) -> User:
    user = _user(simulator, call, form, project)
    simulator.faults.refuse_user(user.name, user.email)
    return user


def _required(form: dict[str, str], name: str) -> str:
    if not (value := form.get(name)):
        raise Invalid(f"The request must contain the parameter {name}.")
    return value


ACTIONS = {
    "CreateAccessKey": Route(
        "POST /aws/iam/ CreateAccessKey", create_access_key, has_effect=True, error_answer=error_answer
    ),
    "ListAccessKeys": Route("POST /aws/iam/ ListAccessKeys", list_access_keys, error_answer=error_answer),
    "DeleteAccessKey": Route(
        "POST /aws/iam/ DeleteAccessKey", delete_access_key, has_effect=True, error_answer=error_answer
    ),
}
UNKNOWN_ACTION = Route("POST /aws/iam/ (unknown)", refuse_action, error_answer=error_answer)
