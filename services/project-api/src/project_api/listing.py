"""Lists of projects: filtered, searched, sorted and paged, as fast with a million projects as with a thousand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from backbone.database import Connection
from contracts.status import Status
from fastapi import Query, Response
from pydantic import ConfigDict, Field

from project_api import access
from project_api.directory.tenants import escaped
from project_api.parts import Caller
from project_api.runs import pictures
from project_api.runs.pictures import COLUMNS, JOIN
from project_api.web.answers import Json
from project_api.web.paging import PageQuery, paged
from project_api.web.queries import or_blank

EXACT = 10_000
"""Up to here a total is counted; beyond, it is the planner's estimate."""

SEARCHABLE = 3
"""Letters that a search within names needs (trigrams); a shorter one looks at their beginnings."""

Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]
COLUMN_OF = {"created_at": "p.created_at", "updated_at": "p.updated_at", "name": 'lower(p.name) COLLATE "C"'}


class ListQuery(PageQuery):
    """A list's query."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = Field(default=None, json_schema_extra=or_blank)
    region: str | None = Field(default=None, max_length=63)
    provider: str | None = Field(default=None, max_length=63)
    tenant_id: int | None = Field(default=None, ge=1, le=2**63 - 1, json_schema_extra=or_blank)
    search: str | None = Field(
        default=None,
        max_length=255,
        description="in names (with one or two letters at their beginning), or a whole identifier; in any case",
    )
    sort: Sort = Field(
        default="-created_at",
        json_schema_extra=or_blank,
        description="updated_at is when name, description or metadata were changed last; a run does not move it",
    )


ListQueryDep = Annotated[ListQuery, Query()]


class _Source(NamedTuple):
    """Rows that one index serves: what to join to projects, under which condition, and what is searched for."""

    join: str
    condition: str
    searched: str = "true"

    def words(self, *, frequent: bool) -> str:
        """How it is read; the planner cannot look into names (row-level security), so it is told what to do.

        What is rare is found by its own index first. What is frequent is met soon, going through the other rows.
        """
        if self.searched == "true":
            return f"FROM projects AS p{self.join} WHERE {self.condition}"
        if frequent:
            unindexed = self.searched.replace("p.name ", "(p.name || '') ")
            return f"FROM projects AS p{self.join} WHERE {self.condition} AND {unindexed}"
        found = f"SELECT * FROM projects AS p WHERE {self.searched} OFFSET 0"  # noqa: S608 - our own words
        return f"FROM ({found}) AS p{self.join} WHERE {self.condition}"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows a list is of: sources that exclude each other."""

    sources: Sequence[_Source]
    values: Mapping[str, Any]
    everything: bool

    def page(self, query: ListQuery, *, frequent: bool) -> str:
        """The statement of one page; each source is read in order, and no further than the page's end.

        The numbers are written into it, for the planner to know how little is wanted.
        """
        column = COLUMN_OF[query.sort.removeprefix("-")]
        direction = "DESC" if query.sort.startswith("-") else "ASC"
        size, start = query.per_page, query.start
        read = [
            f"(SELECT p.identifier, {column} AS sorted {source.words(frequent=frequent)}"
            f" ORDER BY {column} {direction}, p.identifier {direction} LIMIT {start + size})"
            for source in self.sources
        ]
        return (
            f"WITH page AS (SELECT * FROM ({' UNION ALL '.join(read)}) AS found"  # noqa: S608 - our own words and numbers
            f" ORDER BY sorted {direction}, identifier {direction} LIMIT {size} OFFSET {start})"
            f" SELECT {COLUMNS}, s.picture, coalesce(s.finished, false) AS finished"
            f" FROM page JOIN projects AS p USING (identifier){JOIN}"
            f" ORDER BY page.sorted {direction}, p.identifier {direction}"
        )

    def count(self, *, frequent: bool) -> str:
        """The statement that counts no further than :data:`EXACT`."""
        counts = (
            f"(SELECT count(*) FROM (SELECT {source.words(frequent=frequent)} LIMIT {EXACT + 1}) AS found)"  # noqa: S608 - our own words
            for source in self.sources
        )
        return f"SELECT {' + '.join(counts)}"

    def frequency(self) -> str:
        """The statement that counts what is searched for alone, whatever else is asked, no further than that."""
        found = f"SELECT FROM projects AS p WHERE {self.sources[0].searched} LIMIT {EXACT + 1}"
        return f"SELECT count(*) FROM ({found}) AS found"  # noqa: S608 - our own words

    def plan(self) -> str:
        """The statement that asks the planner how many there are."""
        return f"EXPLAIN (FORMAT JSON) SELECT {self.sources[0].words(frequent=True)}"


def _rows(caller: Caller, query: ListQuery) -> _Rows:
    conditions = [str(access.scope(caller))] if access.scope(caller) is not access.Scope.ALL else []
    values = dict(access.parameters(caller))
    for field in ("region", "provider"):
        if (value := getattr(query, field)) is not None:
            conditions.append(f"p.{field} = :{field}")
            values[field] = value
    if query.tenant_id is not None:
        conditions.append("p.tenant_id = :tenant_id")
        values["tenant_id"] = query.tenant_id
    searched = _search(query.search, values) if query.search else ["true"]
    sources = [
        _Source(join, " AND ".join([*conditions, status]), each)
        for each in searched
        for join, status in _of_status(query.status)
    ]
    return _Rows(sources, values, everything=not (conditions or query.search or query.status))


def _search(words: str, values: dict[str, Any]) -> list[str]:
    """By name or by identifier: apart, for each has its index."""
    words = words.replace("\x00", "")
    pattern = escaped(words)
    if len(words) >= SEARCHABLE:
        named, values["pattern"] = "p.name ILIKE :pattern", f"%{pattern}%"
    else:
        named, values["pattern"] = 'lower(p.name) COLLATE "C" LIKE :pattern', f"{pattern.lower()}%"
    values["word"] = words.upper()
    return [named, f"p.identifier = :word AND NOT {named}"]


def _of_status(status: Status | None) -> list[tuple[str, str]]:
    """A run that has ended is found by the copy in our own table, one that goes on by looking at each."""
    if status is None:
        return [("", "true")]
    # Written into the statement: the planner knows then how rare a status is. It is one of five words.
    going = "coalesce(s.status, CASE p.kind WHEN 'remove' THEN 'suspended' ELSE 'provisioning' END)"
    return [("", f"NOT p.open AND p.status = '{status.value}'"), (JOIN, f"p.open AND {going} = '{status.value}'")]


async def answer(caller: Caller, query: ListQuery, path: str) -> Response:
    """One page of the caller's projects."""
    rows = _rows(caller, query)
    async with caller.reading() as connection:
        frequent = bool(query.search) and await _number(connection, rows.frequency(), rows.values) > EXACT
        total = await _total(connection, rows, frequent=frequent)
        statement = rows.page(query, frequent=frequent)
        found = (await connection.execute(statement, rows.values)).all()
    data = [pictures.resource(row, pictures.picture(row)) for row in found]
    return Json(paged(query, data, path, total))


async def _total(connection: Connection, rows: _Rows, *, frequent: bool) -> int:
    if rows.everything and (known := await _number(connection, ALL_PROJECTS, {})) > 2 * EXACT:
        return known
    counted = await _number(connection, rows.count(frequent=frequent), rows.values)
    if counted <= EXACT:
        return counted
    plan = (await connection.execute(rows.plan(), rows.values)).scalar_one()
    return max(counted, int(plan[0]["Plan"]["Plan Rows"]))


async def _number(connection: Connection, statement: str, values: Mapping[str, Any]) -> int:
    return int((await connection.execute(statement, values)).scalar_one())


ALL_PROJECTS = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'projects'::regclass"
