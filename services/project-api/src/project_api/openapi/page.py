"""`/docs`: Swagger UI over our own description, with nothing from elsewhere and no script within the page."""

from fastapi import APIRouter, FastAPI, Response
from starlette.staticfiles import StaticFiles

FILES = "/docs/files"
PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>UCA project API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{FILES}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{FILES}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null});\n"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets styles on its elements; that is all that is allowed beyond our own files."""

_router = APIRouter(include_in_schema=False)


@_router.get("/docs")
async def page() -> Response:
    """The page."""
    return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})


@_router.get("/docs/start.js")
async def start() -> Response:
    """What the page begins with."""
    return Response(START, media_type="text/javascript")


def install(app: FastAPI) -> None:
    """Adds the page, and Swagger UI's files as the package fastapi-offline brings them."""
    app.include_router(_router)
    app.mount(FILES, StaticFiles(packages=[("fastapi_offline", "static")]))
