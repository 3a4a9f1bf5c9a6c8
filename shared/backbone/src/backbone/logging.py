"""Logs: JSON, one line an event, with a constant name and fields; secrets are struck out, in any field."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_FIELD = re.compile(r"password|secret|token|authorization|cookie|api_?key|sealed|credential$", re.IGNORECASE)
_SECRET_IN_TEXT = (
    (re.compile(r"(?P<scheme>\w+://[^:/\s@]+):[^@\s]+@"), r"\g<scheme>:***@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),
    (re.compile(r"(?i)(bearer|x-auth-token|x-subject-token)([:=\s]+)\S+"), r"\1\2***"),
)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strikes out fields whose name says that they are secret, and tokens and URL passwords inside any text."""
    for key, value in event.items():
        if _SECRET_FIELD.search(key):
            event[key] = "***"
        elif isinstance(value, str):
            event[key] = strike(value)
    return event


def strike(words: str) -> str:
    """The text without URL passwords, bearer tokens and JWTs."""
    for pattern, replacement in _SECRET_IN_TEXT:
        words = pattern.sub(replacement, words)
    return words


def configure(service: str, level: str) -> None:
    """Sends our logs, and those of the libraries, to standard output as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(logging.getLevelName(level), logging.WARNING), force=True)
    structlog.contextvars.bind_contextvars(service=service)
