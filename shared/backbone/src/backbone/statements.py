"""Statements run on the driver itself: a toolkit above it describes every result anew, which costs most of the CPU."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import asyncpg

_NAME = re.compile(r"(?<!:):([a-z_]+)")
_WRITES_ONLY = re.compile(r"\s*(INSERT|UPDATE|DELETE|TRUNCATE|CREATE|ALTER|DROP)\b(?!.*\bRETURNING\b)", re.DOTALL)

Values = Mapping[str, Any] | None


class Row(asyncpg.Record):  # type: ignore[misc] # asyncpg comes without types
    """A row whose columns are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def _mapping(self) -> Mapping[str, Any]:
        return dict(self.items())


class Result:
    """What a statement brought: its rows, or how many it wrote."""

    def __init__(self, rows: Sequence[Any], written: int | None = None) -> None:
        self._rows = rows
        self.rowcount = len(rows) if written is None else written

    def all(self) -> Sequence[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def first(self) -> Any:
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        """Raises ValueError where there are several."""
        if len(self._rows) > 1:
            raise ValueError(f"{len(self._rows)} rows where one was expected")
        return self.first()

    def one(self) -> Any:
        """Raises ValueError where there is not exactly one."""
        if len(self._rows) != 1:
            raise ValueError(f"{len(self._rows)} rows where one was expected")
        return self._rows[0]

    def scalars(self) -> "Result":
        """The first column alone."""
        return Result([row[0] for row in self._rows])

    def scalar_one(self) -> Any:
        """The first column of the one row. Raises ValueError."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the row, if there is one. Raises ValueError where there are several."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def mappings(self) -> "Result":
        """The rows as plain dictionaries."""
        return Result([row._mapping for row in self._rows])


async def execute(driver: "asyncpg.Connection[Any]", statement: str, values: Values = None) -> Result:
    """Runs a statement with ``:name`` parameters. Raises the driver's errors."""
    sql, names, writes_only = _prepared(statement)
    given = _given(names, values)
    if writes_only:
        tag = await driver.execute(sql, *given)
        return Result((), _written(tag))
    return Result(await driver.fetch(sql, *given, record_class=Row))


async def stream(driver: "asyncpg.Connection[Any]", statement: str, values: Mapping[str, Any]) -> AsyncIterator[Any]:
    """The rows of a statement one by one, within a transaction. Raises the driver's errors."""
    sql, names, _ = _prepared(statement)
    async for row in driver.cursor(sql, *_given(names, values), prefetch=1000, record_class=Row):
        yield row


def names(statement: str) -> Sequence[str]:
    """What a statement takes."""
    return _prepared(statement)[1]


def _given(names: Sequence[str], values: Values) -> Sequence[Any]:
    return [values[name] for name in names] if values is not None else ()


@lru_cache(maxsize=1000)
def _prepared(statement: str) -> tuple[str, tuple[str, ...], bool]:
    """The driver's form, which it keeps prepared on each connection."""
    names = tuple(dict.fromkeys(_NAME.findall(statement)))
    sql = _NAME.sub(lambda match: f"${names.index(match[1]) + 1}", statement)
    return sql, names, _WRITES_ONLY.match(statement) is not None


def _written(tag: str) -> int:
    number = tag.rpartition(" ")[2]
    return int(number) if number.isdecimal() else 0
