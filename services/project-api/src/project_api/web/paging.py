"""Lists come page by page: what a client asks for, and the form of the answer."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from project_api.web.queries import FormQuery, or_blank


class PageQuery(FormQuery):
    """Which page, and how long a page is."""

    page: int = Field(default=1, ge=1, le=1_000_000, json_schema_extra=or_blank)
    per_page: int = Field(default=15, ge=1, le=100, json_schema_extra=or_blank)

    @property
    def start(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.per_page

    @property
    def window(self) -> dict[str, int]:
        """The parameters of ``LIMIT :limit OFFSET :offset``."""
        return {"limit": self.per_page, "offset": self.start}


class Links(BaseModel):
    """Where the other pages are."""

    first: str
    last: str
    prev: str | None
    next: str | None


class Meta(BaseModel):
    """Where this page is."""

    current_page: int
    last_page: int
    per_page: int
    total: int
    from_: int | None = Field(alias="from")
    to: int | None


def paged(query: PageQuery, data: Sequence[Mapping[str, Any]], path: str, total: int) -> dict[str, Any]:
    """The form of every list; what was asked is in its links."""
    asked = query.model_dump(mode="json", exclude_defaults=True)
    page, last = query.page, max(1, -(-total // query.per_page))

    def link(number: int) -> str:
        return f"{path}?{urlencode({**asked, 'page': number})}"

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
            "per_page": query.per_page,
            "total": total,
            "from": query.start + 1 if data else None,
            "to": query.start + len(data) if data else None,
        },
    }
