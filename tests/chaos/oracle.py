"""Compares what was expected with what was found: each check by its sentence. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos import access_checks, word_checks
from tests.chaos.history import Sent
from tests.chaos.model import Expectation, expected
from tests.chaos.observed import World
from tests.chaos.violation import Violation


@dataclass(frozen=True)
class Case:
    """What every check is given."""

    sent: Sequence[Sent]
    wanted: Expectation
    world: World


def judge(sent: Sequence[Sent], world: World) -> Mapping[str, Sequence[Violation]]:
    """The violations of each check, none where it holds."""
    case = Case(sent, expected(sent), world)
    return {sentence: list(check(case)) for sentence, check in CHECKS.items()}


def _answers(case: Case) -> Iterator[Violation]:
    for each in case.sent:
        if each.status == 500:
            yield Violation(each.project, f"{each.name} was answered with a 500", each.answer)


def _replays(case: Case) -> Iterator[Violation]:
    by_key: dict[str, list[Sent]] = {}
    for each in case.sent:
        if each.key and each.accepted:
            by_key.setdefault(each.key, []).append(each)
    for key, answers in by_key.items():
        made = {str(each.answer.get("identifier")) for each in answers}
        if len(made) > 1:
            yield Violation(min(made), f"the key {key} made several projects", sorted(made))
        # An answer that waited tells how far the run has got, which changes.
        elif len({each.raw for each in answers if "Prefer" not in each.headers}) > 1:
            yield Violation(min(made), f"a replay of the key {key} has other bytes", [each.raw for each in answers])
        if any(each.name == "create-other-body" for each in answers):
            yield Violation(min(made), f"the key {key} was taken for another body, too", None)


def _existence(case: Case) -> Iterator[Violation]:
    names = {wanted.name for wanted in case.wanted.projects.values()} | case.wanted.perhaps
    for identifier, wanted in case.wanted.projects.items():
        seen = case.world.seen.get(identifier)
        if seen is None and not wanted.may_be_gone:
            yield Violation(identifier, "it was accepted and is not there", wanted.name)
        if seen is not None and wanted.must_be_gone:
            yield Violation(identifier, "its deletion was accepted and it is still there", seen.status.get("status"))
    for identifier, seen in case.world.seen.items():
        if identifier not in case.wanted.projects and seen.listed["name"] not in names:
            yield Violation(identifier, "nobody has asked for it", seen.listed["name"])
    for mark, left in case.world.strangers.items():
        yield Violation(mark, "a cloud project is left of it", left)
    if case.world.total != len(case.world.seen):
        yield Violation(None, "the list counts otherwise", {case.world.total: len(case.world.seen)})
    for user in case.wanted.removed & case.world.directory.keys():
        yield Violation(None, f"user {user} was removed and is still there", case.world.directory[user])


def _once(case: Case) -> Iterator[Violation]:
    names: dict[tuple[object, str], str] = {}
    for identifier, seen in case.world.seen.items():
        name = (seen.listed.get("tenant_id"), seen.listed["name"].casefold())
        if names.setdefault(name, identifier) != identifier:
            yield Violation(identifier, "another project has its name", names[name])
        if len(seen.cloud) > 1:
            yield Violation(identifier, "it has several cloud projects", seen.cloud)
    for account in case.world.doubled_accounts:
        yield Violation(None, "an account was made twice", account)
    if case.world.doubled_effects:
        yield Violation(None, "the cloud counts things made twice", case.world.doubled_effects)


def _directory(case: Case) -> Iterator[Violation]:
    for field, wanted in (("email", case.wanted.emails), ("role", case.wanted.roles)):
        for user, values in wanted.items():
            found = case.world.directory.get(user)
            if found and str(found[field]).casefold() not in values:
                yield Violation(None, f"user {user} has another {field} than was accepted", [found, sorted(values)])


def _ends(case: Case) -> Iterator[Violation]:
    for identifier, seen in case.world.seen.items():
        status = str(seen.status.get("status"))
        wanted = case.wanted.projects.get(identifier)
        open_ = wanted.statuses if wanted else {"active", "failed"}
        if status not in open_ and not (wanted and wanted.must_be_gone):
            yield Violation(identifier, f"it is {status} and should be {' or '.join(sorted(open_))}", seen.status)
        if status == "failed" and not (seen.status.get("failure") and seen.status.get("error")):
            yield Violation(identifier, "it failed without a reason", seen.status)
    for identifier, reason in case.world.refailed.items():
        yield Violation(identifier, "it failed on a cloud that was well", reason)


def _left(case: Case) -> Iterator[Violation]:
    for where, count in case.world.left.items():
        if count:
            yield Violation(None, f"left in {where}", count)
    if case.world.parked:
        yield Violation(None, "messages are parked", case.world.parked)


def _each(check: Callable[..., Iterable[Violation]]) -> Callable[[Case], Iterable[Violation]]:
    """A check of one project, for all that are there."""

    def all_(case: Case) -> Iterator[Violation]:
        for identifier, seen in case.world.seen.items():
            yield from check(identifier, seen, case.wanted.projects.get(identifier), case.world.directory)

    return all_


CHECKS: Mapping[str, Callable[[Case], Iterable[Violation]]] = {
    "no request is answered with a 500": _answers,
    "a key makes one project and its replays are the same to the byte": _replays,
    "what was accepted is there, and what was deleted is gone, on the cloud too": _existence,
    "nothing is there twice": _once,
    "users are as the last accepted change has them": _directory,
    "every project came to where its last accepted command wanted it": _ends,
    "list, detail and status say the same": _each(word_checks.words),
    "progress, steps and users tell the truth": _each(word_checks.progress),
    "events are there once, in order, and runs have no gaps": _each(word_checks.events),
    "participants are who was asked for, as the directory has them": _each(word_checks.participants),
    "participants of what is active have their access, once": _each(access_checks.access),
    "nobody else has any, and nobody where it is suspended": _each(access_checks.uninvited),
    "verify finds no difference": _each(access_checks.verified),
    "credentials that are handed out open the cloud": _each(access_checks.credentials),
    "outboxes, queues and chunks are empty and nothing is parked": _left,
}
