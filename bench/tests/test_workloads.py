"""Waiting for a backlog, without one."""

from bench.workloads import worked_off


async def test_a_long_line_is_waited_for_as_long_as_it_moves() -> None:
    """Each look takes most of the patience, and something has moved each time."""
    looks = iter([3, 3, 2, 2, 1, 1, 0])

    async def left() -> int:
        return next(looks)

    assert await worked_off(left, pause=0.06, patience=0.1) == 0


async def test_what_stands_still_is_counted() -> None:
    """Two of them stay."""
    looks = iter([3, 2])

    async def left() -> int:
        return next(looks, 2)

    assert await worked_off(left, pause=0.01, patience=0.05) == 2
