"""docs/security.md says what is so: every test that it names is there, and so is every control."""

import ast
import re
from pathlib import Path

import pytest

from tests.security import controls

NAMED = re.compile(r"`((?:[\w-]+/)+test_\w+\.py)::(test_\w+)")


@pytest.fixture(scope="module")
def document(pytestconfig: pytest.Config) -> str:
    """The text of docs/security.md."""
    return (pytestconfig.rootpath / "docs" / "security.md").read_text()


def functions_of(path: Path) -> set[str]:
    """The names of the test functions in a module."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists(pytestconfig: pytest.Config, document: str) -> None:
    """By path and name, and no line of the table is without one."""
    named = NAMED.findall(document)
    assert len(named) >= 50
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(pytestconfig.rootpath / path)]
    assert missing == []


@pytest.mark.parametrize("control", controls.read(), ids=lambda control: control.control)
def test_a_control_is_documented_and_where_the_table_says(
    pytestconfig: pytest.Config, document: str, control: controls.Control
) -> None:
    """Its line says that its test failed without it, and what was taken out then is still there to be taken out."""
    assert f"{control.line} failed |" in document
    assert (pytestconfig.rootpath / control.file).read_text().count(control.old) == 1, control.old
