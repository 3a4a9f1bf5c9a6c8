from xml.etree import ElementTree as ET

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator


@pytest.fixture
async def form(api: httpx.AsyncClient, project_id: str, user_id: str) -> dict[str, str]:
    """Names Ann, who has a role and a policy in the project."""
    for path in ("roles/_member_", "policies/Full"):
        await api.put(f"/identity/projects/{project_id}/users/{user_id}/{path}")
    return {"Version": "2010-05-08", "UserName": "Ann@x.org", "ProjectId": project_id}


def text(answer: httpx.Response, name: str) -> list[str]:
    """Every element of that name."""
    return [found.text or "" for found in ET.fromstring(answer.content).iter() if found.tag.endswith("}" + name)]


async def ask(api: httpx.AsyncClient, action: str, form: dict[str, str], **more: str) -> httpx.Response:
    return await api.post("/aws/iam/", data={"Action": action} | form | more)


async def test_a_key_is_made_used_listed_and_deleted(
    simulator: RunningSimulator, api: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """The secret is told once, bears the mark, and works until the key is deleted."""
    made = await ask(api, "CreateAccessKey", form)
    [access_key], [secret] = text(made, "AccessKeyId"), text(made, "SecretAccessKey")
    assert secret.startswith("canary-")
    assert await simulator.authenticates(access_key, secret)
    listed = await ask(api, "ListAccessKeys", form)
    assert text(listed, "AccessKeyId") == [access_key]
    assert text(listed, "SecretAccessKey") == []
    assert (await ask(api, "DeleteAccessKey", form, AccessKeyId=access_key)).status_code == 200
    assert not await simulator.authenticates(access_key, secret)
    gone = await ask(api, "DeleteAccessKey", form, AccessKeyId=access_key)
    assert (gone.status_code, text(gone, "Code")) == (404, ["NoSuchEntity"])


async def test_a_third_key_exceeds_the_limit(
    simulator: RunningSimulator, api: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """Two are allowed, so that a rotation is possible."""
    answers = [await ask(api, "CreateAccessKey", form) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert text(answers[2], "Code") == ["LimitExceeded"]
    stats = await simulator.stats()
    assert (stats["duplicate_effects"], stats["objects"]["active_keys"]) == (1, 2)


async def test_a_signed_request_needs_no_token(
    simulator: RunningSimulator, api: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """The admin's access key in a SigV4 header is enough, and any other is refused."""
    for access_key, status in ((simulator.settings.access_key, 200), ("AKIAOTHER", 403)):
        credential = f"{access_key}/20250101/us-east-1/iam/aws4_request"
        signed = {"authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"}
        async with httpx.AsyncClient(trust_env=False) as client:
            body = {"Action": "ListAccessKeys"} | form
            answer = await client.post(f"{simulator.url}/api/v2/aws/iam/", data=body, headers=signed)
        assert answer.status_code == status


@pytest.mark.parametrize("action", ["UpdateAccessKey", "", "DeleteUser"])
async def test_other_actions_do_not_exist(api: httpx.AsyncClient, form: dict[str, str], action: str) -> None:
    """UpdateAccessKey is one of them: a key cannot be made inactive."""
    answer = await ask(api, action, form)
    assert (answer.status_code, text(answer, "Code")) == (400, ["InvalidAction"])


async def test_what_is_wrong_is_said_in_xml(api: httpx.AsyncClient, form: dict[str, str]) -> None:
    """A missing parameter, an unknown user, and a missing token have AWS codes."""
    missing = await ask(api, "CreateAccessKey", form | {"ProjectId": ""})
    unknown = await ask(api, "ListAccessKeys", form | {"UserName": "nobody"})
    api.headers["x-auth-token"] = "old"
    stranger = await ask(api, "ListAccessKeys", form)
    assert [text(answer, "Code") for answer in (missing, unknown, stranger)] == [
        ["ValidationError"],
        ["NoSuchEntity"],
        ["InvalidClientTokenId"],
    ]
    assert [answer.status_code for answer in (missing, unknown, stranger)] == [400, 404, 401]
