"""Lists of projects: filtered, searched, sorted and paged, as fast with a million projects as with a thousand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from contracts.status import Status
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from project_api import access, pictures
from project_api.parts import Caller
from project_api.pictures import COLUMNS, JOIN

EXACT = 10_000
"""Up to here a total is counted; beyond, it is the planner's estimate."""

SEARCHABLE = 3
"""Letters that a search within names needs (trigrams); a shorter one looks at their beginnings."""

Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]
COLUMN_OF = {"created_at": "p.created_at", "updated_at": "p.updated_at", "name": 'lower(p.name) COLLATE "C"'}


class ListQuery(BaseModel):
    """A list's query."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(default=1, ge=1, le=1_000_000)
    per_page: int = Field(default=15, ge=1, le=100)
    status: Status | None = None
    region: str | None = Field(default=None, max_length=63)
    provider: str | None = Field(default=None, max_length=63)
    tenant_id: int | None = Field(default=None, ge=1, le=2**63 - 1)
    search: str | None = Field(default=None, max_length=255)
    sort: Sort = "-created_at"


ListQueryDep = Annotated[ListQuery, Query()]


class _Source(NamedTuple):
    """Rows that one index serves: what to join to projects, and under which condition."""

    join: str
    condition: str

    @property
    def words(self) -> str:
        return f"FROM projects AS p{self.join} WHERE {self.condition}"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows a list is of: sources that exclude each other."""

    sources: Sequence[_Source]
    values: Mapping[str, Any]
    everything: bool

    def page(self, order: str, start: int, size: int) -> str:
        """The statement of one page; each source is read in order, and no further than the page's end.

        The numbers are written into it, for the planner to know how little is wanted.
        """
        column = COLUMN_OF[order.removeprefix("-")]
        direction = "DESC" if order.startswith("-") else "ASC"
        read = [
            f"(SELECT p.identifier, {column} AS sorted {source.words}"
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

    def count(self) -> str:
        """The statement that counts no further than :data:`EXACT`."""
        counts = (
            f"(SELECT count(*) FROM (SELECT {source.words} LIMIT {EXACT + 1}) AS found)"  # noqa: S608 - our own words
            for source in self.sources
        )
        return f"SELECT {' + '.join(counts)}"

    def plan(self) -> str:
        """The statement that asks the planner how many there are."""
        return f"EXPLAIN (FORMAT JSON) SELECT {self.sources[0].words}"


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
    if query.search:
        conditions.append(_search(query.search, values))
    sources = [_Source(join, " AND ".join([*conditions, each])) for join, each in _of_status(query.status)]
    return _Rows(sources, values, everything=not conditions and query.status is None)


def _search(words: str, values: dict[str, Any]) -> str:
    pattern = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\x00", "")
    values["word"] = words.upper().replace("\x00", "")
    if len(words) >= SEARCHABLE:
        values["pattern"] = f"%{pattern}%"
        return "(p.name ILIKE :pattern OR p.identifier = :word)"
    values["pattern"] = f"{pattern.lower()}%"
    return '(lower(p.name) COLLATE "C" LIKE :pattern OR p.identifier = :word)'


def _of_status(status: Status | None) -> list[_Source]:
    """A run that has ended is found by the copy in our own table, one that goes on by looking at each."""
    if status is None:
        return [_Source("", "true")]
    # Written into the statement: the planner knows then how rare a status is. It is one of five words.
    going = "coalesce(s.status, CASE p.kind WHEN 'remove' THEN 'suspended' ELSE 'provisioning' END)"
    return [
        _Source("", f"NOT p.open AND p.status = '{status.value}'"),
        _Source(JOIN, f"p.open AND {going} = '{status.value}'"),
    ]


async def answer(caller: Caller, query: ListQuery, path: str) -> Response:
    """One page of the caller's projects, as contract.md's table has it."""
    rows = _rows(caller, query)
    start = (query.page - 1) * query.per_page
    async with access.reading(caller) as connection:
        found = (await connection.execute(text(rows.page(query.sort, start, query.per_page)), rows.values)).all()
        total = await _total(connection, rows)
    data = [pictures.resource(row, pictures.picture(row)) for row in found]
    asked = query.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    content = paged(data, path, asked, page=query.page, per_page=query.per_page, total=total)
    return Response(to_json(content), media_type="application/json")


async def _total(connection: AsyncConnection, rows: _Rows) -> int:
    if rows.everything:
        known = (await connection.execute(ALL_PROJECTS)).scalar_one()
        if known > 2 * EXACT:
            return int(known)
    counted: int = (await connection.execute(text(rows.count()), rows.values)).scalar_one()
    if counted <= EXACT:
        return counted
    plan = (await connection.execute(text(rows.plan()), rows.values)).scalar_one()
    return max(counted, int(plan[0]["Plan"]["Plan Rows"]))


ALL_PROJECTS = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'projects'::regclass")


def paged(
    data: Sequence[Mapping[str, Any]], path: str, asked: Mapping[str, Any], *, page: int, per_page: int, total: int
) -> dict[str, Any]:
    """The form of every list."""
    last = max(1, -(-total // per_page))

    def link(number: int) -> str:
        return f"{path}?{urlencode({**asked, 'page': number})}"

    start = (page - 1) * per_page
    return {
        "success": True,
        "data": data,
        "links": {
            "first": link(1),
            "last": link(last),
            "prev": link(page - 1) if page > 1 else None,
            "next": link(page + 1) if page < last else None,
        },
        "meta": {
            "current_page": page,
            "last_page": last,
            "per_page": per_page,
            "total": total,
            "from": start + 1 if data else None,
            "to": start + len(data) if data else None,
        },
    }
