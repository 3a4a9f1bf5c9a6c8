"""The console as a person uses it, by clicking and typing in Chromium; scenarios.mjs has the clicks."""

import secrets
from datetime import UTC, datetime

from backbone.context import Context
from backbone.envelope import pack, seal
from contracts.events import LinkEnsured
from local.stack import Stack

from tests.console.conftest import Api, Play, email_of, park, take_away


def fresh(word: str) -> str:
    return f"{word} {secrets.token_hex(4)}"


def exchanges_of(url: str, api: Api) -> str:
    return f"{url}/api/exchanges/{api.environment['UCA_AMQP_URL'].rpartition('/')[2]}"


async def park_links(exchanges: str, project: str, *, error: str, count: int = 1) -> None:
    """Puts so many messages that tell a project's link where status-projector would have parked them."""
    fact = LinkEnsured(
        identifier=project, run=1, provider="zadara", region="region-1", provider_project_id="p", outcome="unchanged"
    )
    (event,) = pack([seal(fact, source="link-provisioner", time=datetime.now(UTC), context=Context(None, None))])
    for _ in range(count):
        await park(exchanges, event.body, event.content_type, key="link.ensured", error=error)


async def test_a_code_signs_in_once(play: Play) -> None:
    """A code signs in once and leaves the address; a token works too; who could not be signed out is still in."""
    await play("signsIn")


async def test_a_project_is_created_with_preview_and_watched(play: Play, api: Api) -> None:
    """The newest search is shown, the preview says who is in; push tells the run until it is active and verified."""
    member = fresh("Mona")
    await api.behave(latency_ms={"project": 800, "user": 300})
    await play("createsAndWatches", name=fresh("Watched"), tenant=(await api.tenant([member]))[0], member=member)


async def test_a_create_sent_again_is_one_project(play: Play, api: Api) -> None:
    """A refused name is taken once another project leaves it; a create whose answer was lost is not done twice."""
    name = fresh("Coveted")
    await play("createsOnce", name=name, project=await api.active(name=name))


async def test_a_project_is_asked_for_with_its_regions_provider(play: Play) -> None:
    """The form sends the provider that the chosen region is of, and says at the region what the API refuses of it."""
    await play("createsWhereTheProviderIs", name=fresh("Elsewhere"))


async def test_a_tenant_beyond_the_first_answer_is_searched_for(play: Play, api: Api) -> None:
    """Where there are more tenants than one answer has, the newest search finds the one to create in and to list by."""
    name, _ = await api.tenant([])
    await play("findsATenant", tenant=name, name=fresh("Found"))


async def test_the_timeline_goes_back_to_the_first_event(play: Play, api: Api) -> None:
    """Older events are shown page by page, until the creation of the project that they begin with."""
    await api.behave(latency_ms={"project": 0, "user": 0})
    _, tenant = await api.tenant([])
    people = [
        {"name": f"User {each}", "email": email_of(f"{tenant} {each}"), "role": "member", "tenant_id": tenant}
        for each in range(110)
    ]
    await api.post("/users/import", users=people)
    await play("showsTheWholeTimeline", project=await api.active(name=fresh("Long"), tenant_id=tenant))


async def test_a_failed_user_is_shown_and_retried(play: Play, api: Api) -> None:
    """A user whom the cloud refuses is shown with the reason; a retry after that makes the project active."""
    person = fresh("Faye")
    await play("mendsAFailure", name=fresh("Mended"), tenant=(await api.tenant([person]))[0], email=email_of(person))


async def test_what_differs_is_repaired(play: Play, api: Api, stack: Stack) -> None:
    """Where verify finds that somebody took a user's role away, Repair begins a run that gives it back."""
    person = fresh("Rita")
    _, tenant = await api.tenant([person])
    project = await api.active(name=fresh("Drifted"), tenant_id=tenant)
    await take_away(stack, project, email_of(person))
    await play("repairsWhatDiffers", project=project, email=email_of(person))


async def test_a_credential_is_handed_out_once(play: Play, api: Api) -> None:
    """After a question it is shown, and leaves the page when it is closed; a second time it is refused in words."""
    member = fresh("Cleo")
    _, tenant = await api.tenant([member])
    await play("handsOutACredential", project=await api.active(name=fresh("Keyed"), tenant_id=tenant), member=member)


async def test_a_view_that_is_left_while_its_answer_comes_gets_none(play: Play) -> None:
    """Half an answer is none, and no page without content: the view that asked is gone, and nothing is said."""
    await play("leavesAViewWhileItsAnswerComes")


async def test_name_and_description_are_edited(play: Play, api: Api) -> None:
    """A wrong name is said at its field; what was saved is shown; somebody else's change is not written over."""
    await play("editsAProject", project=await api.active(name=fresh("Draft")), name=fresh("Final"))


async def test_dead_letters_are_replayed_and_discarded(play: Play, api: Api, rabbitmq_api_url: str) -> None:
    """One letter is inspected and replayed, which its service carries out; another is discarded after a question."""
    mark = fresh("mark")
    project = await api.active(name=fresh("Lettered"))
    exchanges = exchanges_of(rabbitmq_api_url, api)
    await park_links(exchanges, project, error=mark)
    await park(exchanges, b"no JSON", "text/plain", key="user.synced", error=mark)
    await play("decidesOnDeadLetters", mark=mark, project=project)


async def test_all_dead_letters_that_match_are_replayed(play: Play, api: Api, rabbitmq_api_url: str) -> None:
    """Ticks stay from page to page; what matches on every page is replayed, after a question that says how many."""
    mark = fresh("mark")
    project = await api.active(name=fresh("Flooded"))
    await park_links(exchanges_of(rabbitmq_api_url, api), project, error=mark, count=17)
    await play("replaysAllThatMatch", mark=mark)


async def test_news_are_asked_for_until_they_come_or_are_refused(play: Play, api: Api) -> None:
    """Where the right to a project's news could not be asked for it is asked for again, and a refusal is taken."""
    name = fresh("Heard")
    await play("asksAgainToHear", name=name, project=await api.active(name=name))


async def test_a_lost_connection_is_said_and_mended(play: Play) -> None:
    """Without the server the page says so, and goes on by itself when it is back."""
    await play("saysWhatIsLost")


async def test_the_keyboard_is_enough(play: Play) -> None:
    """A project is created, watched and deleted with keys alone, and the focus is always where one expects it."""
    await play("needsNoMouse", name=fresh("Typed"))


async def test_a_button_that_stays_keeps_the_focus(play: Play, api: Api) -> None:
    """A dialog that is closed gives the focus back to its button, though the other buttons have changed meanwhile."""
    name = fresh("Placed")
    project = await api.active(name=name)
    await play("keepsItsPlace", name=name, project=project)


async def test_a_region_in_maintenance_waits(play: Play) -> None:
    """Maintenance that an admin begins stops a region's work with the reason shown; its end lets it become active."""
    await play("keepsARegion", name=fresh("Patient"))


async def test_every_view_is_open_to_everybody(play: Play, api: Api) -> None:
    """Each view has no violation that axe knows of, light, dark and on a phone, and nothing to scroll sideways."""
    name = fresh("Open")
    await api.active(name=name)
    await play("isOpenToEverybody", sign_ins=3, name=name)
