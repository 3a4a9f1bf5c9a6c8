"""Facts are a function of the set of events: duplicates, order and the cut into batches cannot matter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations
from uuid import UUID

from contracts import events
from contracts.events import Event, Step
from hypothesis import given
from hypothesis import strategies as st
from status_projector.facts import FACTS, Facts, Known, Mark, Report, fold, recount
from status_projector.projections import picture
from status_projector.testing import BEGIN, delayed, failed, linked, orphan, requested, revoked, synced, told

Told = tuple[Event, Mark]


@dataclass
class Store:
    """What the tables keep between two transactions."""

    facts: str | None = None
    users: dict[int, Report] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def take(self, batch: Sequence[Told]) -> None:
        """One transaction; as in the real one, a fold has only the reports of the users it is about."""
        fresh = {mark.id: (event, mark) for event, mark in batch if mark.id not in self.ids}
        self.ids |= fresh.keys()
        about = {user for event, _ in fresh.values() if (user := getattr(event, "user_id", None)) is not None}
        known = Known(
            FACTS.validate_json(self.facts) if self.facts else None,
            {user: self.users[user]._replace(failure=None) for user in about & self.users.keys()},
        )
        for event, mark in fresh.values():
            fold(known, event, mark)
        self.users |= {user: known.users[user] for user in known.told}
        if known.recount:
            recount(known, self.users.values())
        self.facts = FACTS.dump_json(known.facts).decode() if known.facts else None

    def state(self) -> tuple[Facts | None, dict[int, Report], str]:
        """Everything that rows are written from."""
        facts = FACTS.validate_json(self.facts) if self.facts else None
        return facts, self.users, repr(facts and picture(facts))


def folded(*batches: Iterable[Told]) -> Store:
    """The store after these transactions."""
    store = Store()
    for batch in batches:
        store.take(list(batch))
    return store


def marked(story: Iterable[Event], after: int = 0) -> list[Told]:
    """A story with each event's mark."""
    return [(each.data, Mark(each.time, each.id)) for each in told(story, after=after)]


runs = st.integers(1, 2)
users = st.integers(1, 3)
steps = st.sampled_from([Step.LINK, Step.USERS, Step.REMOVE])
any_event = st.one_of(
    st.builds(requested, st.just(events.ProjectCreated), st.just(3)),
    st.builds(requested, st.just(events.ProvisioningRequested), st.just(3), st.just(2), reason=st.just("retry")),
    st.builds(requested, st.just(events.RemovalRequested), st.just(3), st.just(2)),
    st.builds(requested, st.just(events.SuspensionRequested), st.just(3), st.just(2)),
    st.builds(requested, st.just(events.ProvisioningCancelled), st.just(3), st.just(2), cancelled_by=st.just("ann")),
    st.builds(linked, runs),
    st.builds(synced, users, runs),
    st.builds(revoked, users, runs),
    st.builds(failed, st.none() | users, runs, steps),
    st.builds(delayed, steps, runs),
    st.builds(lambda kind, run: kind(identifier="F81401", run=run, provider_project_id="p"),
              st.sampled_from([events.LinkSuspended, events.LinkRemoved]), runs),
    st.builds(lambda run: events.AccessRevoked(identifier="F81401", run=run), runs),
    st.builds(lambda run: events.DriftDetected(identifier="F81401", run=run, user_id=1, drift=("role",)), runs),
    st.just(orphan()),
)  # fmt: skip
moments = st.builds(lambda n: BEGIN + timedelta(seconds=n), st.integers(0, 4))
ids = st.integers(0, 2**64).map(lambda n: str(UUID(int=n)))
stories = st.lists(st.tuples(any_event, st.builds(Mark, moments, ids)), max_size=14, unique_by=lambda t: t[1].id)


@given(stories, st.data())
def test_duplicates_order_and_batches_do_not_matter(story: list[Told], data: st.DataObject) -> None:
    """Each event up to five times, shuffled, cut anywhere: the same facts, reports and picture."""
    copies = [each for each in story for _ in range(data.draw(st.integers(1, 5)))]
    shuffled = data.draw(st.permutations(copies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=6)))
    batches = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    assert folded(*batches).state() == folded(story).state()


def test_every_order_of_a_short_run_ends_the_same() -> None:
    """All permutations, each event in a transaction of its own, with a user's later report that must lose."""
    story = marked([requested(), linked(), delayed(Step.USERS), failed(1), synced(2), synced(1)])
    expected = folded(story).state()
    assert all(folded(*([each] for each in order)).state() == expected for order in permutations(story))


@given(stories)
def test_a_percent_never_falls_within_a_run(story: list[Told]) -> None:
    """In whatever order events come; only an end that turns out earlier than success can take the last unit back."""
    shown = [(0, 0)]
    for count in range(1, len(story) + 1):
        facts, *_ = folded(story[:count]).state()
        now = picture(facts) if facts else None
        if facts and now and now.progress.percent < 100:
            assert (facts.run, now.progress.completed) >= min(shown[-1], (facts.run, now.progress.total - 1))
            shown.append((facts.run, now.progress.completed))


def test_an_older_run_changes_no_fact_of_a_newer_one() -> None:
    """A late failure of run 1 cannot override run 2, in either order."""
    old = marked([requested(), failed(step=Step.LINK)])
    new = marked([requested(events.ProvisioningRequested, run=2, reason="retry"), linked(run=2)], after=60)
    assert folded(new, old).state() == folded(old, new).state() == folded(new).state()


def test_a_user_keeps_the_report_of_the_newest_run_that_has_one() -> None:
    """A report of an older run fills a gap, but doesn't count in the newest run."""
    facts, known, _ = folded(
        marked([requested(events.ProvisioningRequested, run=3, reason="retry"), synced(1, run=3)], after=60),
        marked([failed(1, run=2), synced(2, run=2)]),
    ).state()
    assert facts is not None
    assert facts.reported == 1
    assert {user: (report.run, report.status) for user, report in known.items()} == {1: (3, "synced"), 2: (2, "synced")}


def test_the_version_counts_the_runs_events() -> None:
    """Distinct events of the newest run alone."""
    story = marked([requested(), linked()])
    later = marked([requested(events.ProvisioningRequested, run=2, reason="retry")], after=60)
    assert [f.version for f, *_ in (folded(story, story).state(), folded(story, later).state()) if f] == [2, 1]
