import httpx
from cloud_simulator.testing import RunningSimulator


async def test_behaviour_is_merged_and_answered(simulator: RunningSimulator) -> None:
    """PUT answers the whole behaviour, as GET does."""
    async with httpx.AsyncClient(base_url=f"{simulator.url}/_sim", trust_env=False) as client:
        changed = await client.put("/behaviour", json={"latency_ms": {"user": 5}, "error_rate": 0.5})
        assert changed.json() == (await client.get("/behaviour")).json()
    assert changed.json()["latency_ms"] == {"default": 0, "project": 0, "user": 5}


async def test_unknown_fields_are_named_and_change_nothing(simulator: RunningSimulator) -> None:
    """422 lists each wrong field by its path."""
    async with httpx.AsyncClient(base_url=f"{simulator.url}/_sim", trust_env=False) as client:
        answer = await client.put("/behaviour", json={"down": True, "slow": 1, "latency_ms": {"users": 1}})
        assert answer.status_code == 422
        assert answer.json()["problems"].keys() == {"slow", "latency_ms.users"}
        assert (await client.get("/behaviour")).json()["down"] is False
        assert (await client.put("/behaviour", content=b"[1]")).status_code == 422


async def test_a_reset_is_a_new_start(simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str) -> None:
    """Objects, counts and behaviour are as at the start, and tokens are still good."""
    await simulator.behave(error_rate=1)
    await simulator.reset()
    stats = await simulator.stats()
    assert (stats["calls"]["total"], stats["objects"]["projects"]) == (0, 0)
    assert (await api.get("/identity/projects")).json() == []


async def test_objects_are_shown_without_secrets(
    simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str, user_id: str
) -> None:
    """Every kind is listed with what it belongs to; a key by its id only."""
    place = {"project_id": project_id, "user_id": user_id}
    for path in ("roles/_member_", "policies/Full"):
        await api.put(f"/identity/projects/{project_id}/users/{user_id}/{path}")
    await api.post("/aws/iam/", data={"Action": "CreateAccessKey", "UserName": user_id, "ProjectId": project_id})
    objects = await simulator.objects()
    assert objects["projects"][0]["mark"] == "uca:p1"
    assert objects["users"][0]["name"] == "ann@x.org"
    assert objects["grants"] == [place | {"role": "_member_"}]
    assert objects["policies"] == [place | {"policy": "Full"}]
    assert objects["keys"][0].keys() == {"project_id", "user_id", "access_key"}
    assert "canary-" not in str(objects)
