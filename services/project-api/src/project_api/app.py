"""The HTTP application: routes, guards and error form put together. Every replica makes one, and tests make many."""

from typing import Any

from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp

from project_api import api, dead_letter_routes, previewing, providers
from project_api.auth import guard
from project_api.console import routes as console
from project_api.directory import routes as directory_routes
from project_api.fast_path import FastPath
from project_api.openapi import description, page
from project_api.parts import Parts, PartsDep
from project_api.push import routes as push_routes
from project_api.web import cors, errors
from project_api.web.frame import Frame
from project_api.web.limits import Limits, RateLimit

ROUTERS: tuple[APIRouter, ...] = (
    guard.router,
    api.router,
    directory_routes.router,
    dead_letter_routes.router,
    providers.router,
)

DESCRIPTION = """\
Creates cloud projects and answers at once; the work is done behind it, and every answer says how far it has got.

Send a token as `Authorization: Bearer …`. Errors are one body: RFC 9457's members beside `success`, `message` and,
for a 422, `errors` by field.

**Idempotency-Key.** A create may carry a key of 1 to 255 characters, quoted: `Idempotency-Key: "8e03978e-40d5-43e8"`.
Sent again with the same body it gets the first answer, byte by byte, success or refusal; 409 while the first still
runs; 422 with another body. The status that an answer has waited for is not kept: a repeat with `Prefer: wait=N` says
the status as of then, one without it what was answered at once. A key counts within its tenant, user and address, and
its answer is kept for %g hours. What was refused before anything was written (401, 403, most 422) is not kept: mend it
and send the same key.

**Following a run.** Read `…/status` every 2 s with `If-None-Match`, and take a 304 for "nothing new"; with `?wait=30`
the answer comes as soon as something is. Or watch the channel `private-projects.{identifier}` in the Pusher protocol,
at `/app/{key}`.
"""


class App(FastAPI):
    """FastAPI with our own layers outside of all of its own, which what is plain need not pass."""

    def build_middleware_stack(self) -> ASGIApp:
        parts: Parts = self.state.parts
        settings = parts.settings
        fast_path = FastPath(super().build_middleware_stack(), parts=parts)
        guarded = guard.Guard(fast_path, verifier=parts.verifier, tenants=RateLimit("tenant", settings.tenant_rate))
        limited = Limits(
            guarded,
            addresses=RateLimit("address", settings.address_rate),
            in_flight=parts.in_flight,
            max_body=settings.max_body_bytes,
        )
        return Frame(cors.allowing(limited, settings.cors_origins))

    def openapi(self) -> dict[str, Any]:
        """The description, made at its first use."""
        self.openapi_schema = self.openapi_schema or description.describe(self)
        return self.openapi_schema


def create_app(parts: Parts) -> FastAPI:
    """The application over ``parts``, which its caller opens and closes."""
    app = App(
        title="UCA project API",
        version="1.0",
        description=DESCRIPTION % parts.settings.idempotency_hours,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.parts = parts
    errors.install(app)
    for router in (_probes, *ROUTERS):
        app.include_router(router)
    for prefix, tag in api.PREFIXES.items():
        app.include_router(previewing.router, prefix=prefix, tags=[tag])
    push_routes.install(app, parts)
    page.install(app)
    console.install(app, parts)
    return app


_probes = APIRouter(include_in_schema=False)


@_probes.get("/healthz")
async def healthz(parts: PartsDep) -> Response:
    """Alive: the event loop turns, or this would not answer."""
    return _probe([] if parts.health.alive() else ["event loop"])


@_probes.get("/readyz")
async def readyz(parts: PartsDep) -> Response:
    """Ready: broker, database, migrations and what more this service needs are there."""
    return _probe(parts.health.missing())


@_probes.get("/metrics")
async def metrics(parts: PartsDep) -> Response:
    """Prometheus' text, unless it is to be on its own port only."""
    if not parts.settings.metrics_on_api:
        raise errors.not_found("Metrics are on their own port.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _probe(waiting_for: list[str]) -> Response:
    words = f"waiting for {', '.join(waiting_for)}" if waiting_for else "ok"
    return Response(f"{words}\n", 503 if waiting_for else 200, media_type="text/plain")
