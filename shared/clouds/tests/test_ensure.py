"""Find or create, where the cloud shows late what it has."""

import pytest
from clouds import ensure
from clouds.errors import Conflict, TimeoutUnknown


class LaggingCloud:
    """Shows an object only at the third look after it was made."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.made = 0
        self.looks = 0

    async def find(self) -> str | None:
        self.looks += self.made
        return "it" if self.looks > 2 else None

    async def create(self) -> str:
        if self.made:
            raise Conflict("exists")
        self.made = 1
        if self.answers:
            return "it"
        raise TimeoutUnknown("no answer")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensure, "PAUSES", (0.0, 0.0, 0.0))


async def test_what_another_has_just_made_is_found_though_lists_lag_behind() -> None:
    """A 409 for an object that no list shows yet is waited out and ends with that object, not with name_taken."""
    cloud = LaggingCloud(answers=True)
    await cloud.create()
    assert await ensure.find_or_create(cloud.find, cloud.create) == ("it", False)


async def test_a_create_without_an_answer_is_found_though_lists_lag_behind() -> None:
    """The repeat of a create whose answer was lost meets its own object, which is then looked for again."""
    cloud = LaggingCloud(answers=False)
    assert await ensure.find_or_create(cloud.find, cloud.create) == ("it", False)
