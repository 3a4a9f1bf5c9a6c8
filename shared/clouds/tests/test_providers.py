"""Providers come in by entry point, and the worked example of the documentation works."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from clouds.counting import counting_calls
from clouds.errors import Invalid
from clouds.port import Capabilities, DesiredUser, ProjectSpec, UserRecord
from clouds.providers import Clouds, installed_providers
from clouds.reconcile import plan
from clouds.regions import Region, RegionsError, load_regions
from clouds.settings import CloudSettings
from clouds.testing import free_port

GUIDE = Path(__file__).parents[3] / "docs" / "add-a-provider.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The documented package, installed: its module and its entry point on the path."""
    (tmp_path / "acme_cloud.py").write_text(blocks("python")[0])
    (tmp_path / "acme_cloud-1.0.dist-info").mkdir()
    (tmp_path / "acme_cloud-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-cloud\nVersion: 1.0\n"
    )
    (tmp_path / "acme_cloud-1.0.dist-info" / "entry_points.txt").write_text(
        "[uca.cloud_providers]\nacme = acme_cloud:AcmeProvider\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("acme_cloud", None)


async def test_the_documented_provider_works(acme: None, tmp_path: Path, acme_cloud_url: str) -> None:
    """Found by its entry point, used through the port: one call a user, none when nothing changed."""
    entry = json.loads(blocks("json")[0])[0] | {"url": acme_cloud_url}
    file = tmp_path / "regions.json"
    file.write_text(json.dumps([entry]))
    clouds = Clouds(load_regions(file, {"ACME_PASSWORD": "x"}))
    cloud = clouds.open("acme-1")
    spec = ProjectSpec("F1", "Blue Whale")
    project = await cloud.ensure_project(spec)
    user = DesiredUser(1, "Ann@Example.com", cloud.capabilities.cloud_role("member"))
    changes = plan([user], await cloud.read_snapshot(spec, project.id), {}, cloud.capabilities)
    with counting_calls() as calls:
        outcome = await cloud.sync_user(project.id, changes[0])
    assert outcome.key is not None
    assert outcome.key.secret == "made for ann@example.com"
    assert calls.made == changes[0].calls == 1
    record = UserRecord(1, user.email, user.role, outcome.provider_user_id, outcome.key.id)
    assert plan([user], await cloud.read_snapshot(spec, project.id), {1: record}, cloud.capabilities)[0].unchanged
    await clouds.aclose()


@pytest.fixture
async def acme_cloud_url() -> Any:
    """The cloud that the example speaks to."""
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                user = re.search(r"/users/(\S+)", head)
                body = json.dumps({"id": "k1", "secret": f"made for {unquote(user[1])}"} if user else {}).encode()
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except asyncio.IncompleteReadError:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    yield f"http://127.0.0.1:{port}"
    server.close()


def region(**changes: object) -> Region:
    entry: dict[str, object] = {"code": "r", "name": "R", "provider": "keystone", "url": "https://ks.example.com"}
    return Region.model_validate(entry | {"account": "Default", "username": "u"} | changes)


async def test_both_providers_of_the_house_are_installed() -> None:
    """Zadara and Keystone come by the same way as any other."""
    assert {"keystone", "zadara"} <= installed_providers().keys()


async def test_an_unknown_provider_is_named_with_those_that_there_are() -> None:
    """A typing error in the regions file stops the service with words that help."""
    with pytest.raises(RegionsError, match=r"'zadarra' is not installed; there are: .*zadara"):
        Clouds({"r": region(provider="zadarra")})


async def test_wrong_options_are_named() -> None:
    """Region and field, as for the file's own fields."""
    with pytest.raises(RegionsError, match="region 'r': options: scope_projekt"):
        Clouds({"r": region(options={"scope_projekt": "admin"})})


async def test_a_region_that_is_not_active_cannot_be_opened() -> None:
    """Nor one that is not configured: the error has a code that an API can show."""
    clouds = Clouds({"r": region(), "off": region(code="off", is_active=False)})
    assert clouds.open("r") is clouds.open("r")
    for code in ("off", "nowhere"):
        with pytest.raises(Invalid) as raised:
            clouds.open(code)
        assert raised.value.code == "unknown_region"
    await clouds.aclose()


def test_roles_are_mapped_by_the_region() -> None:
    """A role that the region does not map is the plain member role."""
    capabilities = Capabilities(roles={"admin": "manager"})
    assert capabilities.cloud_role("admin") == "manager"
    assert capabilities.cloud_role("tenant_admin") == "member"
    assert capabilities.managed_roles == {"manager", "member"}


def test_a_region_may_have_a_timeout_of_its_own() -> None:
    """A slow cloud is given longer than the others; what a region leaves out is the service's."""
    common = {"name": "R", "provider": "keystone", "url": "http://127.0.0.1:9", "account": "a", "username": "u"}
    regions = {
        code: Region.model_validate(common | {"code": code, **own})
        for code, own in {"slow": {"timeout": 60}, "usual": {}}.items()
    }
    clouds = Clouds(regions, CloudSettings(timeout=5))
    assert [clouds._https[code].settings.timeout for code in regions] == [60, 5]
