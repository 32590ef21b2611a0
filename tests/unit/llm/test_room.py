"""Slots and cells are shared fairly, and come back whatever happens."""

from __future__ import annotations

import anyio
import pytest

from svc.llm import room

pytestmark = pytest.mark.anyio


async def test_a_large_request_is_not_starved_and_everything_comes_back() -> None:
    shared = room.Room(slots=4, cells=100)
    order: list[str] = []
    leave = anyio.Event()

    async def visit(name: str, slots: int, cells: int) -> None:
        async with shared.take(slots, cells):
            order.append(name)
            await leave.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(visit, "small", 1, 10)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(visit, "large", 4, 1000)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(visit, "late", 1, 10)
        await anyio.wait_all_tasks_blocked()
        assert order == ["small"]
        leave.set()
    assert order == ["small", "large", "late"]
    with anyio.fail_after(1):
        async with shared.take(4, 100):
            pass


async def test_who_gives_up_waiting_takes_nothing_along() -> None:
    shared = room.Room(slots=2, cells=100)
    async with shared.take(1, 10):
        with anyio.move_on_after(0.01) as waited:
            async with shared.take(2, 10):
                pass
        assert waited.cancelled_caught
        with anyio.fail_after(1):
            async with shared.take(1, 90):
                pass
