"""Find or create, so that any number of attempts end with one object."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clouds.errors import Conflict, TimeoutUnknown

PAUSES = (0.2, 0.6, 1.5)
"""Seconds before looking for what a create without an answer, or somebody else's, may have made."""

T = TypeVar("T")


async def find_or_create(find: Callable[[], Awaitable[T | None]], create: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
    """Looks, and ensures what is missing; the object, and whether it was made here. Raises as ``ensure`` does."""
    if (found := await find()) is not None:
        return found, False
    return await ensure(find, create)


async def ensure(find: Callable[[], Awaitable[T | None]], create: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
    """Create; the object, and whether it was made here. The caller has looked before, or knows that it is missing.

    A 409 means that somebody was first: theirs is taken if ``find`` knows it as ours, else Conflict ``name_taken`` is
    raised; not at the first look, for a cloud's lists may lag behind its creates. After a create without an answer it
    looks before it creates again, and at the end raises TimeoutUnknown.
    """
    for pause in (*PAUSES, None):
        try:
            return await create(), True
        except Conflict as conflict:
            for lag in (0, *PAUSES):
                await asyncio.sleep(lag)
                if (found := await find()) is not None:
                    return found, False
            raise Conflict(str(conflict), code="name_taken") from conflict
        except TimeoutUnknown:
            if pause is None:
                raise
            await asyncio.sleep(pause)
            if (found := await find()) is not None:
                return found, True
    raise AssertionError("unreachable: the last attempt returns or raises")
