"""What the routes cannot say of themselves in OpenAPI: tokens, and the one form of every refusal."""

import re
import warnings
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from project_api.auth.guard import CSRF_PATHS, GUARDED, TOKEN_COOKIE
from project_api.web.errors import Problem

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": TOKEN_COOKIE,
        "description": "Changes need the X-XSRF-TOKEN header equal to the XSRF-TOKEN cookie.",
    },
}

PROBLEM = {
    "type": "object",
    "description": "RFC 9457's members beside the frontend's.",
    "required": ["type", "title", "status", "detail", "success", "message"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string", "examples": ["Unprocessable Content"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "examples": ["The name field is required."]},
        "success": {"type": "boolean", "const": False},
        "message": {"type": "string", "examples": ["The name field is required."]},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "examples": [{"name": ["The name field is required."]}],
        },
    },
}

WORDS = {
    "400": "The request cannot be read.",
    "401": "No token, or one that is not good.",
    "403": "This caller may not do this.",
    "404": "There is no such thing, or it is somebody else's.",
    "409": "Its present state forbids it.",
    "410": "It was there, and is no more.",
    "412": "It has changed since it was read; If-Match says as what it was read.",
    "413": "The body is too large.",
    "415": "The body is of another kind than is taken here.",
    "422": "A field is wrong; `errors` says which and how.",
    "429": "Too many requests; Retry-After says when to come again.",
    "502": "The cloud cannot be read.",
    "503": "The service is busy or its database away; Retry-After says when to come again.",
}
ALWAYS = ("400", "401", "403", "422", "429", "503")
WITH_BODY = ("409", "413", "415")


RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Duplicate Operation ID")  # ours, below, differ by method
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    components["responses"] = {f"Problem{status}": _refusal(int(status), words) for status, words in WORDS.items()}
    components["securitySchemes"] = SECURITY
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = re.sub(r"\W+", "_", f"{method}{path}").strip("_")
            _complete(path, method, operation)
    return document


def _refusal(status: int, words: str) -> dict[str, Any]:
    errors = {"name": ["The name field is required."]} if status == 422 else None
    example = Problem(status, errors["name"][0] if errors else words, errors=errors).body()
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    headers = {"headers": RETRY_AFTER} if status in (429, 503) else {}
    return {"description": words, **headers, "content": content}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if not path.startswith(GUARDED) or path in CSRF_PATHS:
        responses.pop("422", None)
        return
    operation["security"] = [{name: []} for name in SECURITY]
    statuses = [*ALWAYS, *(("404",) if "{" in path else ()), *(() if method == "get" else WITH_BODY)]
    if any(parameter["name"].lower() == "if-match" for parameter in operation.get("parameters", ())):
        statuses.append("412")
    own = [status for status in responses if status in WORDS and "content" not in responses[status]]
    for status in (*statuses, *own):
        responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
