"""The security table as data (controls.toml), and how a control is taken out and put back."""

import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("controls.toml")


@dataclass(frozen=True)
class Control:
    """One control; ``also_out`` names others of its row that hide its absence."""

    row: str
    control: str
    test: str
    file: str
    old: str
    new: str
    also_out: tuple[str, ...] = ()

    @contextmanager
    def taken_out(self, root: Path) -> Iterator[None]:
        """The edit, undone at the end. Raises ValueError where the control is not where the table says."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.control}: {self.file} has not exactly one {self.old!r}")
        path.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            path.write_text(text)

    @property
    def line(self) -> str:
        """Its line of the documented table, without the result."""
        path, _, name = self.test.partition("::")
        return f"| {self.row} | {self.control} | `{path}::{name}` |"


def read() -> list[Control]:
    """The whole table."""
    entries = tomllib.loads(TABLE.read_text())["control"]
    return [Control(**{**entry, "also_out": tuple(entry.get("also_out", ()))}) for entry in entries]


@contextmanager
def out(control: Control, table: list[Control], root: Path) -> Iterator[None]:
    """Takes out one control, with those that would hide its absence."""
    with ExitStack() as undone:
        for each in table:
            if each is control or each.control in control.also_out:
                undone.enter_context(each.taken_out(root))
        yield
