import asyncio
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from local.broker import Broker
from local.database import Database
from local.endpoints import Endpoints, MissingSettingError, check_rights, choose

DATABASE = Database(Path("/nowhere"), 20001, "superuser", "owner")
BROKER = Broker(Path("/nowhere"), 20002, 20003, 20004, 20005, "password")


def chosen(**environment: str) -> Endpoints:
    return choose(environment, DATABASE, BROKER)


def test_without_urls_both_are_private() -> None:
    """An environment that names no server gets private instances."""
    assert chosen() == Endpoints(DATABASE.url, BROKER.url, BROKER.api_url, True, True)


def test_named_servers_replace_the_private_ones() -> None:
    """The environment's URLs are used as they are; the virtual host is the AMQP URL's path."""
    ours = chosen(
        UCA_DATABASE_URL="postgresql://o:p@db/uca",
        UCA_AMQP_URL="amqp://a:p@mq/%2Fteam",
        UCA_RABBITMQ_API_URL="http://a:p@mq:15672",
    )
    assert (ours.private_database, ours.private_broker) == (False, False)
    assert (ours.database_url, ours.virtual_host) == ("postgresql://o:p@db/uca", "/team")


def test_the_stacks_own_urls_mean_its_private_servers() -> None:
    """A shell that has read `.run/env` can still restart what it names."""
    own = {"UCA_DATABASE_URL": DATABASE.url, "UCA_AMQP_URL": BROKER.url, "UCA_RABBITMQ_API_URL": BROKER.api_url}
    assert chosen(**own) == chosen()


@pytest.mark.parametrize(
    ("named", "missing"), [("UCA_AMQP_URL", "UCA_RABBITMQ_API_URL"), ("UCA_RABBITMQ_API_URL", "UCA_AMQP_URL")]
)
def test_half_a_broker_is_refused_by_name(named: str, missing: str) -> None:
    """A broker needs both of its URLs; the error names the one that is missing."""
    with pytest.raises(MissingSettingError, match=f"{named} is set but {missing} is not"):
        chosen(**{named: "amqp://a:p@mq/uca" if named == "UCA_AMQP_URL" else "http://a:p@mq:15672"})


@pytest.mark.parametrize("ending", ["p@db:postgres", "p@one:5432,two:x", "p@[::1]:99999"])
def test_a_port_that_is_none_is_named(ending: str) -> None:
    """With its variable, and without the password that the URL has."""
    with pytest.raises(MissingSettingError, match="UCA_DATABASE_URL: a port is no number") as refused:
        chosen(UCA_DATABASE_URL=f"postgresql://o:hidden{ending}/uca")
    assert "hidden" not in str(refused.value)


def test_a_password_that_is_not_encoded_is_refused() -> None:
    """With what to do about it, and no part of it."""
    with pytest.raises(MissingSettingError, match="UCA_DATABASE_URL: percent-encode / and #") as refused:
        chosen(UCA_DATABASE_URL="postgresql://o:S3cret/rest@db/uca")
    assert "S3cret" not in str(refused.value)


def test_several_hosts_may_be_named() -> None:
    """As PostgreSQL's own URLs do, each with a port or without."""
    url = "postgresql://o:p@one:5432,two,[::1]:5433/uca"
    assert chosen(UCA_DATABASE_URL=url).database_url == url


def test_servers_that_give_every_right_are_taken(endpoints: Endpoints) -> None:
    """An owner who sees every tenant's rows, and a broker that lets in."""
    check_rights(replace(endpoints, private_database=False, private_broker=False))


def test_an_owner_who_lacks_rights_is_refused(endpoints: Endpoints) -> None:
    """All that is lacking is named: without BYPASSRLS a dump would have no tenant's rows, and say nothing."""
    as_role = urlsplit(endpoints.database_url)
    as_role = as_role._replace(netloc=f"test_bound:secret@{as_role.netloc.rpartition('@')[2]}")

    async def as_owner(statement: str) -> None:
        owner = await asyncpg.connect(endpoints.database_url)
        await owner.execute(statement)
        await owner.close()

    connect = f'CONNECT ON DATABASE "{as_role.path[1:]}"'  # which the migrator leaves to nobody by default
    asyncio.run(as_owner(f"CREATE ROLE test_bound LOGIN PASSWORD 'secret'; GRANT {connect} TO test_bound"))
    try:
        with pytest.raises(MissingSettingError, match=r"UCA_DATABASE_URL: .* CREATEROLE, .* BYPASSRLS, .* own the"):
            check_rights(replace(endpoints, private_database=False, database_url=as_role.geturl()))
    finally:
        asyncio.run(as_owner(f"REVOKE {connect} FROM test_bound; DROP ROLE test_bound"))


def test_a_wrong_password_for_the_broker_is_refused(endpoints: Endpoints) -> None:
    """Before anything starts, though services log in with their own."""
    url = endpoints.amqp_url.replace("@", "mistaken@")
    with pytest.raises(MissingSettingError, match=r"UCA_AMQP_URL: the broker refuses") as refused:
        check_rights(replace(endpoints, private_broker=False, amqp_url=url))
    assert "mistaken" not in str(refused.value)


def test_a_wrong_password_for_the_management_interface_is_refused(endpoints: Endpoints) -> None:
    """By its variable's name, and before the migrator has changed the database."""
    url = endpoints.rabbitmq_api_url.replace("@", "mistaken@")
    with pytest.raises(MissingSettingError, match="UCA_RABBITMQ_API_URL: the broker refuses") as refused:
        check_rights(replace(endpoints, private_broker=False, rabbitmq_api_url=url))
    assert "mistaken" not in str(refused.value)


def test_what_is_no_administrator_is_refused(endpoints: Endpoints) -> None:
    """A user who may look but not import definitions; the tag that is lacking is named."""
    users = f"{endpoints.rabbitmq_api_url}/api/users/test_watcher"
    httpx.put(users, json={"password": "secret", "tags": "monitoring"}).raise_for_status()
    url = re.sub("//.*@", "//test_watcher:secret@", endpoints.rabbitmq_api_url)
    try:
        with pytest.raises(MissingSettingError, match=r"UCA_RABBITMQ_API_URL: .* administrator"):
            check_rights(replace(endpoints, private_broker=False, rabbitmq_api_url=url))
    finally:
        httpx.delete(users).raise_for_status()


def test_a_broker_that_does_not_listen_where_it_should_is_named(endpoints: Endpoints) -> None:
    """At once, where each service would else wait a minute for it."""
    url = re.sub(r":\d+/", ":1/", endpoints.amqp_url)
    with pytest.raises(MissingSettingError, match=r"UCA_AMQP_URL: .* refused"):
        check_rights(replace(endpoints, private_broker=False, amqp_url=url))


def test_an_interface_that_is_none_is_named(endpoints: Endpoints) -> None:
    """Whatever else answers on that port."""
    with pytest.raises(MissingSettingError, match="UCA_RABBITMQ_API_URL: the broker has no management interface"):
        check_rights(replace(endpoints, private_broker=False, rabbitmq_api_url=f"{endpoints.rabbitmq_api_url}/none"))
