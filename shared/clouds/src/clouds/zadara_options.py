"""What a zCompute region's ``options`` may set: all that could not be verified without a cluster, in one place."""

from pydantic import BaseModel, ConfigDict


class ZadaraOptions(BaseModel):
    """Defaults are the documented facts where there are any, else the simulator's way; docs/providers.md says which."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope_project: str | None = None
    """The project to which our account's token is scoped; without it, it is scoped to the account."""
    policies: tuple[str, ...] = ("AllowAll",)
    """Attached to every user within the project; unverified, since the names are the cluster's own."""
    max_keys: int = 2
    """Keys per user and project; unverified."""
    member_role: str = "_member_"
    projects_path: str = "/identity/projects"
    """POST here makes a project, DELETE below it removes one; unverified."""
    policy_path: str = "/identity/projects/{project}/users/{user}/policies/{policy}"
    """PUT attaches, DELETE detaches; unverified."""
    keys_path: str = "/aws/iam/"
    sign_access_key: str = ""
    """Our account's access key: requests for keys are signed with it. Without one they carry our token."""
    sign_secret_env: str = ""
    """The environment variable that holds the secret of ``sign_access_key``."""
    sign_region: str = "us-east-1"
    unscoped_keys_are_ours: bool = False
    """ListAccessKeys tells one project's keys only, though it does not say which project; unverified."""
