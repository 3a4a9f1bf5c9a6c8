import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from backbone import tracing
from backbone.context import Context, caused_by, current
from backbone.envelope import pack, seal, unpack
from backbone.testing import Happened
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator["Spans"]:
    """Tracing, on for one test."""
    monkeypatch.setattr(tracing, "_tracer", None)
    yield (recorder := Spans())
    recorder.provider.shutdown()


class Spans:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = tracing.configure("test", self._exporter)

    def finished(self) -> dict[str, Any]:
        """What was recorded, by name, in OpenTelemetry's JSON."""
        self.provider.force_flush()
        return {span.name: json.loads(span.to_json()) for span in self._exporter.get_finished_spans()}


def test_one_trace_goes_from_a_request_through_an_event_to_the_cloud_call(spans: Spans) -> None:
    """The handler's span is below the request's, and the call's below the handler's."""
    with tracing.span("POST", "SERVER", None) as traceparent:
        token = current.set(Context(None, traceparent))
        envelope = seal(Happened(identifier="F81401"), source="api", time=datetime.now(UTC), context=current.get())
        current.reset(token)
    with caused_by(envelope):
        tracing.called("zadara", "region-1", "create_project", "ok", 0.2)
        answer = current.get()
    request, handling, call = (spans.finished()[name] for name in ("POST", "Happened", "cloud create_project"))
    assert len({span["context"]["trace_id"] for span in (request, handling, call)}) == 1
    assert handling["parent_id"] == request["context"]["span_id"]
    assert call["parent_id"] == handling["context"]["span_id"]
    assert str(answer.traceparent).split("-")[2] == handling["context"]["span_id"].removeprefix("0x")
    assert call["attributes"]["uca.outcome"] == "ok"


def test_an_error_is_told_by_its_type_alone(spans: Spans) -> None:
    """Its words, which may quote anybody, stay out of the trace."""
    with pytest.raises(ValueError, match="canary"), tracing.span("POST", "SERVER", None):
        raise ValueError("canary")
    span = spans.finished()["POST"]
    assert span["status"] == {"status_code": "ERROR", "description": "ValueError"}
    assert span["events"] == []


def test_a_caller_who_does_not_sample_is_obeyed(spans: Spans) -> None:
    """Nothing is recorded below an unsampled parent, and its trace id goes on."""
    with tracing.span("POST", "SERVER", f"00-{'a' * 32}-{'b' * 16}-00") as traceparent:
        pass
    assert str(traceparent).split("-")[1::2] == ["a" * 32, "00"]
    assert spans.finished() == {}


def test_nothing_changes_while_tracing_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's traceparent is the one that it was given."""
    monkeypatch.setattr(tracing, "_tracer", None)
    with tracing.span("POST", "SERVER", "given") as traceparent:
        tracing.called("zadara", "region-1", "create_project", "ok", 0.2)
    assert traceparent == "given"


def test_a_trace_that_is_no_text_is_left_out(spans: Spans) -> None:
    """The event is handled under a trace of its own."""
    event = seal(Happened(identifier="odd"), source="test", time=datetime.now(UTC), context=Context())
    (message,) = pack([event])
    members = {**json.loads(message.body), "traceparent": 5, "causationid": ["odd"]}
    (envelope,) = unpack(json.dumps(members).encode(), message.content_type, {"Happened": Happened})
    with caused_by(envelope):
        assert current.get().traceparent
    assert envelope.cause is None
