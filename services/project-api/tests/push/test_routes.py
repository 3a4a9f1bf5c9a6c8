"""The signature that a client asks for before it subscribes to a channel."""

import pytest
from project_api.push import protocol
from project_api.push.testing import Bearer, Replica, Stage

PATH = "/broadcasting/auth"


@pytest.mark.parametrize("path", ["/api/v1/broadcasting/auth", "/broadcasting/auth"])
async def test_the_signature_is_answered_exactly(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer, path: str
) -> None:
    """With the cookie alone, and without a CSRF header, the answer is {"auth": …} and no more; else it is a 403."""
    one, _ = replicas
    project = await stage.project()
    channel = f"private-projects.{project}"
    fields = {"socket_id": "123.456", "channel_name": channel}
    async with one.http as http:
        cookie = {"Cookie": f"uca_token={bearer()['Authorization'].removeprefix('Bearer ')}"}
        good = await http.post(path, data=fields, headers=cookie)
        policy = one.push.policy
        assert good.status_code == 200
        assert good.json() == {"auth": protocol.sign(policy.key, policy.secret, "123.456", channel)}
        for headers, sent in (
            ({}, fields),
            ({"Authorization": "Bearer nonsense"}, fields),
            (bearer(), {**fields, "socket_id": "123.456:private-projects.other"}),
            (bearer(), {**fields, "channel_name": "presence-x"}),
            (bearer(), {**fields, "channel_name": "private-projects.F0"}),
            (bearer(), {}),
        ):
            bad = await http.post(path, data=sent, headers=headers)
            assert bad.status_code == 403, (headers, sent)
            assert bad.json()["success"] is False
            assert bad.json()["message"]


async def test_every_kind_of_form_is_read(stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer) -> None:
    """Echo sends the fields urlencoded, other clients as multipart/form-data or JSON; the signature is the same."""
    one, _ = replicas
    fields = {"socket_id": "123.456", "channel_name": f"private-projects.{await stage.project()}"}
    as_parts = {name: (None, value) for name, value in fields.items()}
    async with one.http as http:
        sent = [
            await http.post(PATH, headers=bearer(), **form)
            for form in ({"data": fields}, {"files": as_parts}, {"json": fields})
        ]
    assert [answer.status_code for answer in sent] == [200, 200, 200]
    assert len({answer.text for answer in sent}) == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="socket_id"\r\n\r\n\xff\r\n--b--',
        ),
        ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"\xff"),
    ],
)
async def test_a_form_that_cannot_be_read_is_a_403(
    replicas: tuple[Replica, Replica], bearer: Bearer, kind: str, body: bytes
) -> None:
    """It names no channel, and the answer says what to send."""
    async with replicas[0].http as http:
        answer = await http.post(PATH, headers={**bearer(), "Content-Type": kind}, content=body)
    assert (answer.status_code, answer.json()["message"][:14]) == (403, "Send socket_id")
