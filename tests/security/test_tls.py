"""TLS on every way between processes, with an authority of one's own; who shows another's certificate is refused."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from backbone import migrations
from backbone.away import DatabaseUnavailable
from backbone.broker import BrokerUnavailable, Publisher
from backbone.database import Database
from backbone.envelope import Message
from clouds.errors import Transient
from clouds.http import RegionHttp
from clouds.regions import Region
from clouds.settings import CloudSettings
from fastapi import FastAPI
from local import ports
from project_api.settings import Settings
from project_api.web.server import Server, listen

from tests.security import certificates
from tests.security.certificates import Certificates
from tests.security.ground import Ground

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that nobody here has signed with."""
    return certificates.make(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
async def owner_url(ground: Ground) -> AsyncIterator[str]:
    """The owner's URL of the database, which speaks TLS meanwhile."""
    data = ground.parts.database.data
    owner = data.stat()
    for source, name in ((ground.certificates.certificate, "server.crt"), (ground.certificates.key, "server.key")):
        shutil.copy(source, data / name)
        (data / name).chmod(0o600)
        os.chown(data / name, owner.st_uid, owner.st_gid)
    superuser = await ground.superuser()
    await superuser.execute("ALTER SYSTEM SET ssl = on")
    await superuser.execute("SELECT pg_reload_conf()")
    yield ground.parts.endpoints.database_url
    await superuser.execute("ALTER SYSTEM RESET ssl")
    await superuser.execute("SELECT pg_reload_conf()")
    await superuser.close()


def verified(url: str, trusted: Certificates) -> str:
    """The URL of a database whose certificate is checked, its name too."""
    return f"{url}?sslmode=verify-full&sslrootcert={trusted.authority}"


async def test_the_database_is_reached_by_tls(ground: Ground, owner_url: str) -> None:
    """By `sslmode` and `sslrootcert` in the URL: for the pool, for the relay's session, and for migrations."""
    database = Database(verified(owner_url, ground.certificates), schema="user_syncer", source="test", pool_size=1)
    session = await database.session()
    try:
        async with asyncio.timeout(30), database.reading() as connection:
            assert (await connection.execute(ENCRYPTED)).scalar_one() is True
        assert await session.fetchval(ENCRYPTED) is True
    finally:
        await session.close()
        await database.close()
    await asyncio.to_thread(migrations.upgrade, "user_syncer", verified(owner_url, ground.certificates))


async def test_a_false_database_is_not_spoken_to(owner_url: str, stranger: Certificates) -> None:
    """Its certificate is of another authority, so no password is sent."""
    database = Database(verified(owner_url, stranger), schema="user_syncer", source="test", pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with database.reading():
            pass
    with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
        await database.session()


@pytest.mark.parametrize("trusting", [True, False], ids=["ours", "another's"])
async def test_the_broker_is_reached_by_tls(ground: Ground, stranger: Certificates, trusting: bool) -> None:
    """By `amqps` and `cafile` in the URL; a broker of another authority is none."""
    trusted = ground.certificates if trusting else stranger
    url = ground.amqp_url("user-syncer").replace("amqp://", "amqps://", 1)
    plain = str(ground.parts.broker.amqp_port)
    publisher = Publisher(f"{url.replace(plain, str(ground.amqps_port), 1)}?cafile={trusted.authority}", name="test")
    message = Message("user.synced", b"over TLS")
    try:
        if trusting:
            assert await publisher.publish([message]) == [message.id]
        else:
            with pytest.raises(BrokerUnavailable):
                await publisher.publish([message])
    finally:
        await publisher.close()


async def test_the_api_serves_https(ground: Ground, stranger: Certificates) -> None:
    """With API_TLS_CERT_FILE and API_TLS_KEY_FILE, where no proxy does it."""
    environment = ground.stack.api_environment(ground.services)
    named = {"API_TLS_CERT_FILE": ground.certificates.certificate, "API_TLS_KEY_FILE": ground.certificates.key}
    port = ports.allocate(ground.stack.directory / "ports.json", ["https"], in_use=True)["https"]
    given = {**environment, **named, "API_PORT": port}
    settings = Settings.model_validate({name.lower(): value for name, value in given.items()})
    server = Server(FastAPI(), settings, asyncio.Event())
    serving = asyncio.create_task(server.serve(sockets=[listen(settings)]))
    address = f"https://127.0.0.1:{port}/docs"
    async with httpx.AsyncClient(verify=trusting(ground.certificates)) as client:
        assert (await client.get(address)).status_code == 200
    async with httpx.AsyncClient(verify=trusting(stranger)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(address)
    server.stop()
    await serving


async def test_a_cloud_is_trusted_by_its_own_authority(ground: Ground, stranger: Certificates) -> None:
    """A region's `ca_file`; a cloud that shows another's certificate gets no request."""
    served: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ground.certificates.certificate, ground.certificates.key)
    port = ports.allocate(ground.stack.directory / "ports.json", ["cloud"], in_use=True)["cloud"]
    async with await asyncio.start_server(answer, "127.0.0.1", port, ssl=context):
        region = Region(code="t", name="T", provider="test", url=f"https://localhost:{port}", account="a", username="u")
        for trusted, requests in ((stranger, 0), (ground.certificates, 1)):
            http = RegionHttp(region.model_copy(update={"ca_file": trusted.authority}), CloudSettings(repeats=0))
            if requests:
                assert (await http.call("list", "GET", "/")).status == 200
            else:
                with pytest.raises(Transient):
                    await http.call("list", "GET", "/")
            await http.aclose()
            assert len(served) == requests


def trusting(trusted: Certificates) -> ssl.SSLContext:
    """A client's context that trusts one authority alone."""
    return ssl.create_default_context(cafile=Path(trusted.authority))
