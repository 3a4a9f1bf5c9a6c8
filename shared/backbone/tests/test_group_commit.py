"""Group commit: who waits shares a transaction, and nobody pays for another's fault; on the real database."""

import asyncio
from collections.abc import Sequence

import uuid_utils
from backbone.away import DatabaseUnavailable
from backbone.context import Context, current
from backbone.database import Transaction
from backbone.group_commit import AlreadyHandled, GroupCommit, Part, Together
from backbone.testing import Rig

INSERT = "INSERT INTO inbox (message_id) SELECT unnest(CAST(:ids AS uuid[]))"
COUNT = "SELECT count(*) FROM inbox WHERE message_id = ANY(CAST(:ids AS uuid[]))"


def new_id() -> str:
    return str(uuid_utils.uuid7())


class Carrier:
    """Carries numbers out once it is let go; odd ones break whatever they are in, zero has an error of its own."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(numbers))
        self.begun.set()
        await self.go.wait()
        if any(number % 2 for number in numbers):
            raise ValueError(numbers)
        return [number * 10 if number else KeyError("nought") for number in numbers]


async def outcomes(carrier: Carrier, *numbers: int) -> list[int | BaseException]:
    together = Together(carrier)
    calls = [asyncio.create_task(together(number)) for number in numbers]
    await carrier.begun.wait()
    carrier.go.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_who_comes_meanwhile_goes_together_next() -> None:
    """The first goes at once and alone, the others in one group, each with the outcome of its own."""
    carrier = Carrier()
    together = Together(carrier)
    first = asyncio.create_task(together(2))
    await carrier.begun.wait()
    others = [asyncio.create_task(together(number)) for number in (4, 6, 8)]
    await asyncio.sleep(0)
    carrier.go.set()
    assert await asyncio.gather(first, *others) == [20, 40, 60, 80]
    assert carrier.groups == [[2], [4, 6, 8]]


async def test_one_that_breaks_its_group_breaks_alone() -> None:
    """The others are carried out without it."""
    got = await outcomes(Carrier(), 2, 3, 4)
    assert [each if isinstance(each, int) else type(each) for each in got] == [20, ValueError, 40]


async def test_an_error_among_the_outcomes_is_its_items_own() -> None:
    """Nothing is repeated for it."""
    carrier = Carrier()
    got = await outcomes(carrier, 0, 2)
    assert [each if isinstance(each, int) else type(each) for each in got] == [KeyError, 20]
    assert len(carrier.groups) <= 2


async def test_who_is_gone_is_left_out() -> None:
    """A caller that was cancelled before its turn is not carried out."""
    carrier = Carrier()
    together = Together(carrier)
    first = asyncio.create_task(together(2))
    await carrier.begun.wait()
    gone, there = asyncio.create_task(together(4)), asyncio.create_task(together(6))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    carrier.go.set()
    assert [await first, await there] == [20, 60]
    assert carrier.groups == [[2], [6]]


async def write(tx: Transaction, parts: Sequence[Part[str, str]]) -> None:
    """Stores ids; refuses those that begin with an f."""
    for part in parts:
        if part.item.startswith("f"):
            part.refuse(ValueError(part.item))
        part.outcome = part.run(current.get).cause
    await tx.execute(INSERT, {"ids": [part.item for part in parts if part.error is None]})


async def stored(rig: Rig, *ids: str) -> int:
    return int((await rig.database.execute(COUNT, {"ids": list(ids)})).scalar_one())


async def test_what_is_written_together_is_committed_with_its_claims(rig: Rig) -> None:
    """Each message is claimed with its own item's rows."""
    group = GroupCommit(rig.database, write)
    items, claims = [new_id() for _ in range(5)], [new_id() for _ in range(5)]
    await asyncio.gather(*(group(item, claim) for item, claim in zip(items, claims, strict=True)))
    assert await stored(rig, *items, *claims) == 10


async def test_a_message_that_comes_twice_is_written_once(rig: Rig) -> None:
    """Its repeat leaves nothing, and the rest of the group is committed."""
    group = GroupCommit(rig.database, write)
    twice, items = new_id(), [new_id() for _ in range(4)]
    ended = await asyncio.gather(
        group(items[0], twice), group(items[1], new_id()), group(items[2], twice), group(items[3], new_id()),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(each) for each in ended] == [type(None), type(None), AlreadyHandled, type(None)]
    assert (await stored(rig, *items), await stored(rig, items[2])) == (3, 0)


async def test_what_was_refused_is_not_claimed(rig: Rig) -> None:
    """So that its message can come again."""
    group = GroupCommit(rig.database, write)
    refused, claim, other = f"f{new_id()[1:]}", new_id(), new_id()
    ended = await asyncio.gather(group(refused, claim), group(other), return_exceptions=True)
    assert [type(each) for each in ended] == [ValueError, type(None)]
    assert await stored(rig, refused, claim, other) == 1


async def test_each_item_is_written_in_the_context_of_its_delivery(rig: Rig) -> None:
    """What is emitted for one is not said to be caused by another."""
    group = GroupCommit(rig.database, write)

    async def caused(cause: str) -> str | None:
        current.set(Context(cause))
        return await group(new_id())

    causes = ["a", "b", "c"]
    assert await asyncio.gather(*(asyncio.create_task(caused(each)) for each in causes)) == causes


async def test_a_database_that_is_away_is_said_to_all() -> None:
    """Nobody is tried alone against it."""
    tried = 0

    async def away(items: Sequence[int]) -> Sequence[int | Exception]:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0)
        raise DatabaseUnavailable("away")

    together = Together(away)
    ended = await asyncio.gather(*(together(number) for number in range(5)), return_exceptions=True)
    assert {type(each) for each in ended} == {DatabaseUnavailable}
    assert tried <= 2


async def test_a_flood_is_carried_out_in_portions(rig: Rig) -> None:
    """Every one of many items is stored once."""
    group = GroupCommit(rig.database, write)
    items = [new_id() for _ in range(120)]
    await asyncio.gather(*map(group, items))
    assert await stored(rig, *items) == len(items)
