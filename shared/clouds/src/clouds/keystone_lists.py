"""Keystone's lists. Those of users and of projects end, since Keystone 30, at its ``max_db_limit`` (1,000 unless set),
and only where a limit is asked for does it say that there is more.
"""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from clouds.answers import Answer, cut_list, listed, text
from clouds.errors import Invalid, Transient
from clouds.session import IdentitySession

PAGE = 10_000
"""What is asked for; a smaller maximum of the cloud's own counts."""


class Page(NamedTuple):
    """``is_cut``: there may be more than these."""

    items: list[dict[str, Any]]
    is_cut: bool


class KeystoneLists:
    """Reads them; ``v3`` is the path of the version."""

    def __init__(self, session: IdentitySession, v3: str) -> None:
        self._session = session
        self._v3 = v3

    async def whole(self, collection: str, **query: str) -> list[dict[str, Any]]:
        """In one call: what has no pages, or is filtered by a name. Raises Invalid where it was cut nevertheless."""
        answer = await self._read(collection, query)
        return listed(answer.expect(f"list {collection}", 200).json(), collection)

    async def page(self, collection: str, **query: str) -> Page:
        """The first page, of users or projects. A filter by tag is applied after the cut: a page may be empty."""
        answer = await self._read(collection, {**query, "limit": str(PAGE)})
        return Page(*cut_list(answer.expect(f"list {collection}", 200).json(), collection))

    async def pages(self, collection: str, **query: str) -> list[dict[str, Any]]:
        """All users or projects; a call for each ``max_db_limit`` of them. Raises Transient where one that ended a page
        was deleted meanwhile, and Invalid for a Keystone that cuts its lists and has no pages.
        """
        page = await self.page(collection, **query)
        found = {text(item, "id"): item for item in page.items}
        while page.is_cut:
            before, last = len(found), next(reversed(found), "")
            answer = await self._read(collection, {**query, "limit": str(PAGE), "marker": last})
            if answer.is_gone:
                raise Transient(f"The cloud's list of {collection} changed while it was read.")
            page = Page(*cut_list(answer.expect(f"list {collection}", 200).json(), collection))
            found |= {text(item, "id"): item for item in page.items}
            if page.is_cut and len(found) == before:
                raise Invalid(f"The cloud cuts its list of {collection} short; raise its list_limit.")
        return list(found.values())

    async def _read(self, collection: str, query: dict[str, str]) -> Answer:
        return await self._session.call(f"list_{collection}", "GET", f"{self._v3}/{collection}?{urlencode(query)}")
