"""How a route answers."""

from typing import Any

from fastapi import Response
from pydantic_core import to_json


class Json(Response):
    """Content by pydantic's encoder. That it is what the route describes is not checked here: the tests do that."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content)
