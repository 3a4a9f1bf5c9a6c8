"""Lists of projects: filtered, searched, sorted and paged, as fast with a million projects as with a thousand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from backbone.database import Connection
from contracts.status import Status
from fastapi import Query, Response
from pydantic import ConfigDict, Field

from project_api import access
from project_api.access import NAMED, OWN, Scope
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


WITHOUT_TENANT = "p.tenant_id IS NULL AND p.identifier = ANY(array(SELECT named.identifier FROM named))"
"""Those that name the caller, by the view that row-level security asks too."""

JOINED = f"{OWN} AND p.tenant_id = nullif(current_setting('uca.tenant', true), '')::bigint"
"""As :data:`OWN`, for where the participants are looked at too: which of the two tables is gone through is decided by
how much the tenant has, and of a setting a plan that is kept knows the value, of a parameter only what is usual."""

SEEN: Mapping[Scope, Sequence[tuple[str, str]]] = {
    Scope.ALL: [("true", "true")],
    Scope.TENANT: [(OWN, "true"), (WITHOUT_TENANT, "true")],
    Scope.MEMBER: [(JOINED, NAMED), (WITHOUT_TENANT, "true")],
    Scope.GUEST: [("true", NAMED)],
}
"""The scopes in parts that exclude each other, for no index serves an OR: whose rows, and which of these."""


class _Source(NamedTuple):
    """Rows that one index serves: whose, what to join to projects, under which condition, and what is searched for."""

    whose: str
    join: str
    condition: str
    searched: str = "true"

    def words(self, *, frequent: bool) -> str:
        """How it is read; the planner cannot look into names (row-level security), so it is told what to do.

        What is rare is found by its own index first. What is frequent is met soon, going through the other rows.
        """
        if self.searched == "true" or frequent:
            unindexed = self.searched.replace("p.name ", "(p.name || '') ")
            return f"FROM projects AS p{self.join} WHERE {_all(self.whose, self.condition, unindexed)}"
        return f"FROM (SELECT * {self.found} OFFSET 0) AS p{self.join} WHERE {self.condition}"

    @property
    def found(self) -> str:
        """What is searched for alone, whatever else is asked."""
        return f"FROM projects AS p WHERE {_all(self.whose, self.searched)}"


def _all(*conditions: str) -> str:
    return " AND ".join(each for each in conditions if each != "true") or "true"


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
        """The statement that counts what is searched for alone, no further than that."""
        return f"SELECT count(*) FROM (SELECT {self.sources[0].found} LIMIT {EXACT + 1}) AS found"  # noqa: S608 - our own words

    def plan(self) -> str:
        """The statement that asks the planner how many there are; it reads none."""
        return f"EXPLAIN (FORMAT JSON) SELECT {self.sources[0].words(frequent=True)}"


def _rows(caller: Caller, query: ListQuery) -> _Rows:
    conditions = []
    values = dict(access.parameters(caller))
    for field in ("region", "provider"):
        if (value := getattr(query, field)) is not None:
            conditions.append(f"p.{field} = :{field}")
            values[field] = value
    if query.tenant_id is not None:
        conditions.append("p.tenant_id = :tenant_id")
        values["tenant_id"] = query.tenant_id
    searched = _search(query.search, values) if query.search else ["true"]
    where = access.scope(caller)
    sources = [
        _Source(whose, join, _all(which, *conditions, status), each)
        for whose, which in SEEN[where]
        for each in searched
        for join, status in _of_status(query.status)
    ]
    asked = conditions or query.search or query.status
    return _Rows(sources, values, everything=where is Scope.ALL and not asked)


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
        total = await _total(connection, caller, rows, frequent=frequent)
        statement = rows.page(query, frequent=frequent)
        found = (await connection.execute(statement, rows.values)).all()
    data = [pictures.resource(row, pictures.picture(row)) for row in found]
    return Json(paged(query, data, path, total))


async def _total(connection: Connection, caller: Caller, rows: _Rows, *, frequent: bool) -> int:
    if rows.everything and (known := await _number(connection, ALL_PROJECTS, {})) > 2 * EXACT:
        return known
    counted = await _number(connection, rows.count(frequent=frequent), rows.values)
    if counted <= EXACT:
        return counted
    # Of row-level security the planner only knows that it hides something, so where it holds the other role asks.
    asking = caller.parts.database if caller.confined else connection
    plan = (await asking.execute(rows.plan(), rows.values)).scalar_one()
    return max(counted, int(plan[0]["Plan"]["Plan Rows"]))


async def _number(connection: Connection, statement: str, values: Mapping[str, Any]) -> int:
    return int((await connection.execute(statement, values)).scalar_one())


ALL_PROJECTS = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'projects'::regclass"
