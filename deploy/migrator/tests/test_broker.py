from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from backbone import topology
from migrator import broker

VIRTUAL_HOST = "migrator-test"


def definitions() -> dict[str, Any]:
    """Those of one service that no running stack has: broker users are shared by all virtual hosts."""
    hashes = {"first-example": topology.password_hash("first")}
    keys = {"first-example": ("project.created",)}
    return topology.definitions(keys, keys, hashes, vhost=VIRTUAL_HOST)


@pytest.fixture(scope="module")
def api(rabbitmq_api_url: str) -> Iterator[httpx.Client]:
    """The broker after two imports into a virtual host of this module's own."""
    for _ in range(2):
        broker.load(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    with httpx.Client(base_url=f"{rabbitmq_api_url}/api") as client:
        yield client
        client.delete(f"/vhosts/{VIRTUAL_HOST}")
        client.delete("/users/first-example")


def test_a_service_gets_its_queues(api: httpx.Client) -> None:
    """Work and parked queue are there, as quorum queues."""
    queues = {queue["name"]: queue["type"] for queue in api.get(f"/queues/{VIRTUAL_HOST}").json()}
    assert (queues["first-example.work"], queues["first-example.parked"]) == ("quorum", "quorum")


def test_a_service_may_log_in(api: httpx.Client, rabbitmq_api_url: str) -> None:
    """The imported user has the given password."""
    address = rabbitmq_api_url.rsplit("@", 1)[1]
    answer = httpx.get(f"http://{address}/api/whoami", auth=("first-example", "first"))
    assert answer.json()["reason"] == "Not management user"  # it would be "Login failed" with a wrong password


def test_a_binding_that_is_no_longer_meant_goes(api: httpx.Client, rabbitmq_api_url: str) -> None:
    """A key that a service has dropped is unbound by the next import, and what is meant stays."""
    bindings = f"/bindings/{VIRTUAL_HOST}/e/events/q/first-example.work"
    before = api.get(bindings).json()
    api.post(bindings, json={"routing_key": "long.gone"}).raise_for_status()
    broker.load(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    assert api.get(bindings).json() == before


def test_what_is_gone_is_named_and_comes_back(api: httpx.Client, rabbitmq_api_url: str) -> None:
    """A deleted queue, with its bindings, until the next import."""
    assert broker.missing(rabbitmq_api_url, definitions(), VIRTUAL_HOST) == []
    api.delete(f"/queues/{VIRTUAL_HOST}/first-example.work").raise_for_status()
    gone = broker.missing(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    assert set(gone) == {
        "first-example.work",
        "events project.created first-example.work",
        "events dead-letters.first-example.* first-example.work",
    }
    broker.load(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    assert broker.missing(rabbitmq_api_url, definitions(), VIRTUAL_HOST) == []


@pytest.mark.parametrize(
    "place",
    [
        "/users/first-example",
        f"/permissions/{VIRTUAL_HOST}/first-example",
        f"/topic-permissions/{VIRTUAL_HOST}/first-example",
        f"/vhosts/{VIRTUAL_HOST}",
    ],
)
def test_a_user_its_rights_and_the_virtual_host_come_back(api: httpx.Client, rabbitmq_api_url: str, place: str) -> None:
    """Their loss is seen as well, and the next import makes them anew."""
    api.delete(place).raise_for_status()
    assert broker.missing(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    broker.load(rabbitmq_api_url, definitions(), VIRTUAL_HOST)
    assert broker.missing(rabbitmq_api_url, definitions(), VIRTUAL_HOST) == []


def test_users_of_another_virtual_host_are_refused(api: httpx.Client, rabbitmq_api_url: str) -> None:
    """By name, and before anything is imported: a user belongs to the broker, and another stack may log in with it."""
    other = topology.definitions({"first-example": ()}, {}, {"first-example": "changed"}, vhost="migrator-test-second")
    with pytest.raises(broker.BrokerError, match="user first-example has rights on the virtual host migrator-test "):
        broker.load(rabbitmq_api_url, other, "migrator-test-second")
    assert api.get("/vhosts/migrator-test-second").status_code == 404


def test_a_refusal_has_the_brokers_words_and_no_secret(rabbitmq_api_url: str) -> None:
    """A wrong password ends in an error that says so and does not repeat it."""
    address = rabbitmq_api_url.rsplit("@", 1)[1]
    with pytest.raises(broker.BrokerError, match="401") as caught:
        broker.load(f"http://uca_admin:mistaken@{address}", definitions(), VIRTUAL_HOST)
    assert "mistaken" not in str(caught.value)
