import asyncio

import pytest
from backbone.process_testing import NOWHERE
from backbone.runtime import build
from backbone.settings import Settings
from prometheus_client import REGISTRY


@pytest.mark.parametrize(("every", "told"), [(0.001, [0, 1, 1, 0]), (None, [0, 0])])
async def test_a_task_that_fails_is_told_until_its_next_good_round(every: float | None, told: list[float]) -> None:
    """However seldom its rounds are; a task that runs on is at work again once it was started again."""
    heard: list[float | None] = []
    done = asyncio.Event()

    async def work() -> None:
        heard.append(REGISTRY.get_sample_value("uca_background_failing", {"task": "work"}))
        if len(heard) == len(told):
            done.set()
            await asyncio.Event().wait()
        if len(heard) < 3:
            raise ValueError("a failed round")

    runtime = build("test", Settings.model_validate({name.lower(): value for name, value in NOWHERE.items()}))
    runtime.background("work", work, every=every)
    await asyncio.wait_for(done.wait(), 30)
    await runtime.cancel_background()
    assert heard == told
