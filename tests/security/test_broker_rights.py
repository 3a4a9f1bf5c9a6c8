"""What the broker refuses a service's own user, on the private stack and with the service's own password."""

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelPreconditionFailed
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from local.services import SERVICES
from migrator import plan

from tests.security.ground import Ground

Attempt = Callable[[AbstractChannel, str], Awaitable[object]]
NAMES = [service.name for service in SERVICES]


@pytest.fixture(params=NAMES)
def service(request: pytest.FixtureRequest) -> str:
    """Each service in turn."""
    name: str = request.param
    return name


@pytest.fixture
async def channel(ground: Ground, service: str) -> AsyncIterator[AbstractChannel]:
    """A channel as that service's user, which confirms publishes and tells of refused ones."""
    async with await aio_pika.connect(ground.amqp_url(service)) as connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


def other_than(service: str) -> str:
    """Another service."""
    return next(name for name in NAMES if name != service)


def forbidden_key(service: str) -> str:
    """A routing key that somebody handles, and that is another's to say."""
    own = PUBLICATIONS[service]
    return next(key for keys in SUBSCRIPTIONS.values() for key in keys if key not in own)


async def read_anothers_queue(channel: AbstractChannel, service: str) -> None:
    queue = await channel.get_queue(f"{other_than(service)}.work", ensure=False)
    await queue.get(fail=False)


async def read_anothers_dead_letters(channel: AbstractChannel, service: str) -> None:
    queue = await channel.get_queue(f"{other_than(service)}.parked", ensure=False)
    await queue.get(fail=False)


async def make_a_queue(channel: AbstractChannel, service: str) -> None:
    await channel.declare_queue(f"{service}.more", durable=True)


async def make_anothers_push_queue(channel: AbstractChannel, service: str) -> None:
    await channel.declare_queue(f"{other_than(service)}.push.1", exclusive=True)


async def make_an_exchange(channel: AbstractChannel, service: str) -> None:
    await channel.declare_exchange(f"{service}.more")


async def delete_its_own_queue(channel: AbstractChannel, service: str) -> None:
    await channel.queue_delete(f"{service}.work")


async def bind_its_own_queue(channel: AbstractChannel, service: str) -> None:
    queue = await channel.get_queue(f"{service}.work", ensure=False)
    await queue.bind("events", "#")


async def purge_anothers_queue(channel: AbstractChannel, service: str) -> None:
    queue = await channel.get_queue(f"{other_than(service)}.work", ensure=False)
    await queue.purge()


async def use_the_default_exchange(channel: AbstractChannel, service: str) -> None:
    await channel.default_exchange.publish(aio_pika.Message(b""), f"{other_than(service)}.work")


async def park_for_another(channel: AbstractChannel, service: str) -> None:
    exchange = await channel.get_exchange(f"{other_than(service)}.dlx", ensure=False)
    await exchange.publish(aio_pika.Message(b""), "")


async def say_what_is_anothers(channel: AbstractChannel, service: str) -> None:
    exchange = await channel.get_exchange("events", ensure=False)
    await exchange.publish(aio_pika.Message(b""), forbidden_key(service))


ATTEMPTS: tuple[Attempt, ...] = (
    read_anothers_queue,
    read_anothers_dead_letters,
    purge_anothers_queue,
    make_a_queue,
    make_anothers_push_queue,
    make_an_exchange,
    delete_its_own_queue,
    bind_its_own_queue,
    use_the_default_exchange,
    park_for_another,
    say_what_is_anothers,
)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
async def test_a_service_is_refused_what_is_not_its(channel: AbstractChannel, service: str, attempt: Attempt) -> None:
    """Another's queue, a new queue, the default exchange, a foreign topic: the broker closes the channel (403)."""
    with pytest.raises(ChannelAccessRefused):
        await attempt(channel, service)


async def test_a_forged_sender_is_refused(channel: AbstractChannel, service: str) -> None:
    """A message that names another service as its user is none that the broker takes (406)."""
    if not PUBLICATIONS[service]:
        pytest.skip("it may publish nothing, under any name")
    exchange = await channel.get_exchange("events", ensure=False)
    message = aio_pika.Message(b"", user_id=other_than(service))
    with pytest.raises(ChannelPreconditionFailed):
        await exchange.publish(message, PUBLICATIONS[service][0].replace("*", "x"))


async def test_a_service_has_no_other_virtual_host(ground: Ground, service: str) -> None:
    """Its user may enter the stack's own virtual host alone, though there is another, which an administrator enters."""
    elsewhere, administrator = f"elsewhere-{service}", urlsplit(ground.parts.endpoints.amqp_url)
    async with httpx.AsyncClient(base_url=ground.parts.endpoints.rabbitmq_api_url) as api:
        (await api.put(f"/api/vhosts/{elsewhere}")).raise_for_status()
        rights = f"/api/permissions/{elsewhere}/{administrator.username}"
        (await api.put(rights, json={"configure": ".*", "write": ".*", "read": ".*"})).raise_for_status()
        try:
            async with await aio_pika.connect(administrator._replace(path=f"/{elsewhere}").geturl()):
                pass
            with pytest.raises(AMQPError, match=r"Connection\.Close"):
                await aio_pika.connect(ground.amqp_url(service).rpartition("/")[0] + f"/{elsewhere}")
        finally:
            (await api.delete(f"/api/vhosts/{elsewhere}")).raise_for_status()


async def test_a_service_may_not_administer(ground: Ground, service: str) -> None:
    """The management interface does not let its user in."""
    url = ground.parts.endpoints.rabbitmq_api_url.rpartition("@")[2]
    password = ground.services.secrets[plan.amqp_password(service)]
    async with httpx.AsyncClient(auth=(service, password)) as api:
        assert (await api.get(f"http://{url}/api/queues")).status_code == 401
