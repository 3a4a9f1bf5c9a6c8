"""OpenTelemetry traces, off until OTEL_EXPORTER_OTLP_ENDPOINT is set; nothing of theirs is imported before.

An event carries the W3C traceparent of the span that it was emitted in, and its handler's span has that as its parent:
so one trace goes from the request through every event to the calls on a cloud. A sampled caller decides for all of it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

_tracer: Any = None


def configure(service: str, exporter: Any) -> Any:
    """Records spans from now on and sends them by ``exporter``; the returned provider's ``shutdown`` sends the rest."""
    global _tracer  # noqa: PLW0603 - a process has one tracer, as it has one registry of metrics
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("uca")
    return provider


def otlp(endpoint: str) -> Any:
    """An exporter to a collector's OTLP/HTTP endpoint, such as ``http://collector:4318``.

    Raises ImportError where the package was installed without its ``tracing`` extra.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")


def span(name: str, kind: str, traceparent: str | None, **attributes: str | int) -> AbstractContextManager[str | None]:
    """A span for the block, below ``traceparent``; gives the traceparent for what the block causes.

    ``kind`` is OpenTelemetry's word: SERVER, CONSUMER. Of an error only the type is told: its words may quote anybody.
    """
    return nullcontext(traceparent) if _tracer is None else _span(name, kind, traceparent, attributes)


@contextmanager
def _span(name: str, kind: str, traceparent: str | None, attributes: Mapping[str, str | int]) -> Iterator[str | None]:
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    parent = propagator.extract({"traceparent": traceparent} if traceparent else {})
    with _tracer.start_as_current_span(
        name,
        parent,
        SpanKind[kind],
        {key.replace("__", "."): value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        try:
            yield carrier["traceparent"]
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def called(provider: str, region: str, operation: str, outcome: str, seconds: float) -> None:
    """A span for a call on a cloud that has just ended, below the one at hand."""
    if _tracer is None:
        return
    from opentelemetry.trace import SpanKind, StatusCode

    end = time.time_ns()
    attributes = {"uca.provider": provider, "uca.region": region, "uca.outcome": outcome}
    call = _tracer.start_span(
        f"cloud {operation}", None, SpanKind.CLIENT, attributes, start_time=end - int(seconds * 1e9)
    )
    if outcome in ("failed", "unanswered", "limited"):
        call.set_status(StatusCode.ERROR)
    call.end(end)
