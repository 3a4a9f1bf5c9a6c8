"""Names and marks."""

import pytest
from clouds.naming import cloud_project_name, link_mark, marked_identifier


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["shop", link_mark("F81401")], "F81401"),
        ([None, 7, "uca:", "uca:F81401"], "F81401"),
        (["uca:<b>F81401</b>", "uca:" + "F" * 64, "uca:F8\n1401", "uca:F\u0660"], None),
        ([], None),
    ],
)
def test_only_what_an_identifier_can_be_is_read_from_a_mark(words: list[object], found: str | None) -> None:
    """It goes into events, logs and metrics, and whoever may write on the cloud can write a mark."""
    assert marked_identifier(words) == found


def test_a_long_name_keeps_its_identifier_whole() -> None:
    """That makes it unique; the name before it is cut, and never ends in a space."""
    assert cloud_project_name("a" * 10 + " " + "b" * 60, "F81401", 18) == "a" * 10 + "-F81401"
