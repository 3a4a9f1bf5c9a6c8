"""A create is answered at once, whatever the cloud and the broker do meanwhile."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from local.stack import Stack

from tests.e2e.conftest import Portal

CREATES = 200
SLOW = {"project": 200, "user": 50}
"""Milliseconds of one cloud call for a link, and of one for a user."""


async def test_creates_on_a_slow_cloud(portal: Portal, capsys: pytest.CaptureFixture[str]) -> None:
    """200 projects of 25 users, one after the other, are each answered 201 and end active; how fast is printed."""
    tenant, _ = await portal.tenant(25)
    await portal.behave(latency_ms=SLOW)
    took, identifiers = [], []
    for _ in range(CREATES):
        began = time.perf_counter()
        answer = await portal.create(tenant_id=tenant)
        took.append((time.perf_counter() - began) * 1000)
        identifiers.append(answer["identifier"])
        assert answer["status"] == "provisioning"
    took.sort()
    with capsys.disabled():
        figures = f"p50 {took[CREATES // 2]:.1f} ms, p99 {took[CREATES * 99 // 100 - 1]:.1f} ms, most {took[-1]:.1f} ms"
        print(f"\n{CREATES} creates of 25 users on a slow cloud: {figures}")  # noqa: T201 - the figures are the point
    await portal.behave(latency_ms={"project": 0, "user": 0})
    for identifier in identifiers:
        assert (await portal.ended(identifier, "active", "failed"))["status"] == "active"


async def test_no_request_waits_for_cloud_or_broker(portal: Portal, stack: Stack) -> None:
    """With both of them frozen a create is answered, and its status read; they are called once they go on."""
    tenant, _ = await portal.tenant(25)
    before = (await portal.stats())["calls"]["total"]
    with frozen(stack, "broker"), frozen(stack, "cloud-simulator"):
        answers = [await portal.create(tenant_id=tenant) for _ in range(10)]
        for answer in answers:
            status = await portal.status(answer["identifier"])
            assert (status["status"], status["progress"]["percent"]) == ("provisioning", 0)
    for answer in answers:
        assert (await portal.ended(answer["identifier"], "active", "failed"))["status"] == "active"
    assert (await portal.stats())["calls"]["total"] > before


@contextmanager
def frozen(stack: Stack, name: str) -> Iterator[None]:
    """The process takes no step meanwhile; its connections stay open."""
    pid = int((stack.directory / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
