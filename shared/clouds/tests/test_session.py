"""One login for everybody, renewed in time, and not hammered when it is refused."""

import asyncio
from contextvars import Context
from time import monotonic
from typing import Any

import pytest
from clouds.breaker import State
from clouds.errors import AuthExpired, Invalid, ProviderUnavailable, waits_for
from clouds.providers import Clouds
from clouds.settings import CloudSettings
from pydantic import SecretStr
from structlog.testing import capture_logs


async def logins(simulator: Any) -> int:
    count: int = (await simulator.stats())["calls"]["by_route"].get("POST /identity/auth", 0)
    return count


async def test_many_callers_at_once_share_one_login(simulated: Any, simulator: Any) -> None:
    """Thirty calls, one login, one look-up of the account."""
    await asyncio.gather(*(simulated.cloud.find_project(simulated.spec) for _ in range(30)))
    stats = (await simulator.stats())["calls"]["by_route"]
    assert stats["POST /identity/auth"] == stats["GET /identity/domains"] == 1


async def test_a_refused_token_is_renewed_once_for_all(simulated: Any, simulator: Any) -> None:
    """After a 401 the callers log in again, all together, and repeat their calls."""
    await simulated.link()
    session = simulated.cloud._session
    session._token = "revoked-behind-our-back"
    before = await logins(simulator)
    await asyncio.gather(*(simulated.cloud.find_project(simulated.spec) for _ in range(12)))
    assert await logins(simulator) == before + 1


@pytest.mark.parametrize("shared", ["login", "account"])
async def test_who_has_the_turn_and_who_reads_for_all_do_not_wait_for_each_other(
    simulated: Any, simulator: Any, shared: str
) -> None:
    """After a 429 somebody without the turn renews what everybody needs, and then the one who has it needs that too."""
    await simulated.link()
    cloud, http = simulated.cloud, simulated.cloud._session._http
    http.breaker.limited(monotonic(), 0.01)
    lock = cloud._session._lock if shared == "login" else cloud._account_id._lock
    async with asyncio.timeout(30), http.turn():
        if shared == "login":
            cloud._session._renew_at = 0.0
        else:
            cloud._account_id.forget()
        other = asyncio.create_task(cloud.find_project(simulated.spec), context=Context())
        while not lock.locked():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
        await cloud.find_project(simulated.spec)
    assert await other is not None


async def test_a_token_is_renewed_before_it_expires(simulated: Any, simulator: Any) -> None:
    """After nine tenths of the lifetime that the cloud tells, though the old one is good still."""
    await simulator.behave(token_ttl_s=3600)
    await simulated.cloud.find_project(simulated.spec)
    session = simulated.cloud._session
    assert session._renew_at - monotonic() == pytest.approx(3240, abs=30)
    before = await logins(simulator)
    await simulated.cloud.find_project(simulated.spec)
    assert await logins(simulator) == before
    session._renew_at = monotonic()
    await simulated.cloud.find_project(simulated.spec)
    assert await logins(simulator) == before + 1


async def test_a_token_without_a_life_is_a_refusal(simulated: Any, simulator: Any) -> None:
    """A token that is refused at once is renewed once, and then the caller hears of it."""
    await simulator.behave(token_ttl_s=0.0001)
    with pytest.raises(AuthExpired):
        await simulated.cloud.find_project(simulated.spec)


async def test_a_wrong_password_is_not_tried_again_at_once(simulated: Any, simulator: Any) -> None:
    """Repeated logins would lock the account at the cloud: all work of the region waits, and costs no try."""
    region = simulated.clouds.region("sim").model_copy(update={"password": SecretStr("wrong")})
    clouds = Clouds({"sim": region})
    before = await logins(simulator)
    for _ in range(5):
        with pytest.raises(ProviderUnavailable) as raised:
            await clouds.open("sim").find_project(simulated.spec)
        assert (raised.value.costs_try, waits_for(raised.value)[0]) == (False, "provider")
    assert await logins(simulator) == before + 1
    assert "wrong" not in str(raised.value)
    assert clouds.health("sim").breaker is State.OPEN
    await clouds.aclose()


async def test_work_goes_on_once_the_login_is_let_in(simulated: Any, simulator: Any) -> None:
    """By itself, at the next try; until then the region counts as failing."""
    await simulator.behave(login="locked")
    clouds = Clouds({"sim": simulated.clouds.region("sim")}, CloudSettings(breaker_open=0.0))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await clouds.open("sim").find_project(simulated.spec)
        assert clouds.health("sim").breaker is State.HALF_OPEN
    await simulator.behave(login="ok")
    await clouds.open("sim").find_project(simulated.spec)
    assert clouds.health("sim").breaker is State.CLOSED
    await clouds.aclose()


async def test_a_second_factor_is_named(simulated: Any, simulator: Any) -> None:
    """A 401 with a receipt is no wrong password: the log says that the account has MFA."""
    await simulator.behave(login="mfa")
    with capture_logs() as logs, pytest.raises(ProviderUnavailable):
        await simulated.cloud.find_project(simulated.spec)
    assert ["second factor" in log["error"] for log in logs if log["event"] == "cloud.login_refused"] == [True]


async def test_an_unknown_account_says_what_to_correct(simulated: Any, keystone: Any) -> None:
    """A scope of its own and an account that is not there: the setting is named."""
    region = keystone.region("ks")
    clouds = Clouds({"ks": region})
    cloud = clouds.open("ks")
    cloud._account = "Nowhere"  # type: ignore[attr-defined]  # the login must still succeed
    with pytest.raises(Invalid, match="'Nowhere'"):
        await cloud.find_project(simulated.spec)
    await clouds.aclose()
