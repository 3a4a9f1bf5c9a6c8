"""A statement that is made very often, run on the driver itself: a tenth of the time that the toolkit above it takes.

Measured: 0.04 ms of CPU for a status that is unchanged, 0.44 ms through SQLAlchemy, which describes every result anew.
The connection is still the pool's, with its transaction and its role.
"""

import re
from collections.abc import Mapping
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

_NAME = re.compile(r"(?<!:):([a-z_]+)")


class Row(asyncpg.Record):  # type: ignore[misc] # asyncpg comes without types
    """A row whose columns are attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Prepared:
    """A statement with ``:name`` parameters; the driver keeps it prepared on each connection."""

    def __init__(self, words: str) -> None:
        self.names = tuple(dict.fromkeys(_NAME.findall(words)))
        self.sql = _NAME.sub(lambda match: f"${self.names.index(match[1]) + 1}", words)

    async def row_or_none(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Row | None:
        """The first row, if there is one. Raises the driver's own errors."""
        driver: Any = (await connection.get_raw_connection()).driver_connection
        found: Row | None = await driver.fetchrow(self.sql, *(values[name] for name in self.names), record_class=Row)
        return found

    async def row(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Row:
        """The first row of a statement that always has one. Raises the driver's own errors.

        Within a transaction it must not be the first statement, for that is what begins it.
        """
        found = await self.row_or_none(connection, values)
        assert found is not None  # noqa: S101 - what the statement promises
        return found
