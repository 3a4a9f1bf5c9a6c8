"""Who is in a project, and why."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from project_api.participants import REASONS, as_now, gather, with_members, without


class Person(NamedTuple):
    id: int
    role: str = "member"

    @property
    def name(self) -> str:
        return f"User {self.id}"

    @property
    def email(self) -> str:
        return f"user{self.id}@example.com"


PEOPLE = st.lists(st.integers(1, 12).map(Person), max_size=8)


def test_each_is_in_once_with_every_reason() -> None:
    """A user whom several reasons bring in is one participant that names them all."""
    admin = Person(1, "admin")
    found = gather({"tenant": [Person(2)], "admin": [admin], "creator": [admin], "explicit": [Person(2), admin]})
    assert [(each.user_id, each.role, each.reasons) for each in found] == [
        (2, "member", ("explicit", "tenant")),
        (1, "admin", ("explicit", "admin", "creator")),
    ]


def test_client_and_owner_are_in() -> None:
    """The client and the owner of a project have access without being listed."""
    found = gather({"client": [Person(7)], "owner": [Person(8)]})
    assert [(each.user_id, each.reasons) for each in found] == [(7, ("client",)), (8, ("owner",))]


def test_an_id_sent_twice_counts_once() -> None:
    """The same user twice in one group is one participant with that reason once."""
    assert [each.reasons for each in gather({"explicit": [Person(3), Person(3)]})] == [("explicit",)]


@given(st.dictionaries(st.sampled_from(REASONS), PEOPLE))
def test_nobody_is_lost_or_doubled(groups: dict[str, list[Person]]) -> None:
    """Whatever the groups, the participants are exactly their users, each once and each with a reason."""
    found = gather(groups)
    assert sorted(each.user_id for each in found) == sorted({p.id for people in groups.values() for p in people})
    for each in found:
        assert each.reasons == tuple(r for r in REASONS if each.user_id in {p.id for p in groups.get(r, ())})


def test_new_members_join_and_former_ones_leave() -> None:
    """Members replace the explicit participants; who is in for another reason too stays with that one."""
    current = gather({"explicit": [Person(1), Person(2)], "tenant": [Person(2), Person(3)]})
    staying, leaving = with_members(current, [Person(4), Person(3)])
    assert {each.user_id: each.reasons for each in staying} == {
        2: ("tenant",),
        3: ("explicit", "tenant"),
        4: ("explicit",),
    }
    assert [each.user_id for each in leaving] == [1]


@given(st.dictionaries(st.sampled_from(REASONS), PEOPLE), PEOPLE)
def test_members_split_everybody_in_two(groups: dict[str, list[Person]], members: list[Person]) -> None:
    """Everybody of before either stays or leaves, and every member is in as explicit."""
    current = gather(groups)
    staying, leaving = with_members(current, members)
    before, after = {each.user_id for each in current}, {each.user_id for each in staying}
    assert before - after == {each.user_id for each in leaving}
    assert {each.user_id for each in staying if "explicit" in each.reasons} == {person.id for person in members}


def test_a_removed_user_leaves() -> None:
    """A user who is gone from the directory leaves, whatever brought them in."""
    staying, leaving = without(gather({"admin": [Person(1)], "tenant": [Person(2)]}), {1})
    assert ([each.user_id for each in staying], [each.user_id for each in leaving]) == ([2], [1])


def test_who_is_in_for_a_reason_that_ended_leaves() -> None:
    """Unless there is another; everybody else is as they were."""
    stays, leaves, other = Person(1), Person(2), Person(3)
    current = gather({"explicit": [stays], "tenant": [stays, leaves, other]})
    staying, gone = as_now(current, leaves, "tenant")
    assert [each.user_id for each in staying] == [1, 3]
    assert [each.user_id for each in gone] == [2]
    staying, gone = as_now(current, stays, "tenant")
    assert [each.reasons for each in staying] == [("explicit",), ("tenant",), ("tenant",)]
    assert gone == ()
