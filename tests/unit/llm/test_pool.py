"""One line for what generations share: users first, nothing starved, and everything comes back."""

from __future__ import annotations

import dataclasses

import anyio
import anyio.abc
import hypothesis
import pytest
from hypothesis import strategies as st

from svc.llm import pool

pytestmark = pytest.mark.anyio
PLACES = 5
STEPS_MAX = 10
"""Rounds of the event loop in which whatever one step brings about has happened."""


@dataclasses.dataclass
class Visitor:
    wants: int
    background: bool
    inside: bool = False
    gone: bool = False
    moves: int = 0
    leave: anyio.Event = dataclasses.field(default_factory=anyio.Event)
    scope: anyio.CancelScope = dataclasses.field(default_factory=anyio.CancelScope)

    @property
    def waits(self) -> bool:
        return not (self.inside or self.gone)

    def move(self) -> None:
        self.moves += 1

    async def visit(self, shared: pool.Pool) -> None:
        with self.scope:
            async with shared.take(self.wants, background=self.background, moved=self.move):
                self.inside = True
                await self.leave.wait()
        self.inside, self.gone = False, True


def check(shared: pool.Pool, visitors: list[Visitor]) -> None:
    """What must hold whenever nothing moves."""
    inside = [one for one in visitors if one.inside]
    waiting = [one for one in visitors if one.waits]
    assert sum(min(one.wants, PLACES) for one in inside) <= PLACES
    assert (shared.inside, shared.waiting) == (len(inside), len(waiting))
    free = PLACES - sum(min(one.wants, PLACES) for one in inside)
    first = [one for one in waiting if not one.background] or waiting
    assert not first or min(first[0].wants, PLACES) > free, "who is next could have started"


COMES = st.tuples(st.integers(1, PLACES + 2), st.booleans())
STEPS = st.lists(st.one_of(COMES, st.integers(0, 30)), max_size=40)
"""Somebody comes (how much, background?), or the n-th visitor leaves or gives up."""


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(STEPS)
async def test_never_too_many_users_first_and_nothing_lost(steps: list[tuple[int, bool] | int]) -> None:
    shared = pool.Pool(PLACES)
    visitors: list[Visitor] = []
    async with anyio.create_task_group() as tasks:
        for step in steps:
            before = {id(one) for one in visitors if one.inside}
            if isinstance(step, tuple):
                visitors.append(Visitor(*step))
                tasks.start_soon(visitors[-1].visit, shared)
            elif visitors:
                one = visitors[step % len(visitors)]
                if one.inside and step % 2:
                    one.leave.set()
                else:
                    one.scope.cancel()  # in line or inside
            for _ in range(STEPS_MAX):
                await anyio.lowlevel.checkpoint()
            check(shared, visitors)
            started = [one for one in visitors if one.inside and id(one) not in before]
            if any(one.background for one in started):
                assert not any(one.waits and not one.background for one in visitors)
        tasks.cancel_scope.cancel()
    assert (shared.inside, shared.waiting) == (0, 0)
    with anyio.fail_after(1):
        async with shared.take(PLACES):
            pass


async def test_a_place_given_and_cancelled_in_the_same_moment_is_not_lost() -> None:
    shared = pool.Pool(1)
    async with anyio.create_task_group() as tasks:
        holder, late = Visitor(1, False), Visitor(1, False)
        for one in (holder, late):
            tasks.start_soon(one.visit, shared)
            await anyio.wait_all_tasks_blocked()

        async def leave_and_cancel() -> None:
            holder.leave.set()
            await anyio.lowlevel.checkpoint()  # the holder is out, and the late one was let in but not run
            late.scope.cancel()

        tasks.start_soon(leave_and_cancel)
    assert (shared.inside, shared.waiting) == (0, 0)


async def test_a_large_request_is_not_starved_by_small_ones() -> None:
    shared = pool.Pool(4, 100)
    order: list[str] = []
    leave = anyio.Event()

    async def visit(name: str, slots: int, cells: int) -> None:
        async with shared.take(slots, cells):
            order.append(name)
            await leave.wait()

    async with anyio.create_task_group() as tasks:
        for name, slots, cells in (("small", 1, 10), ("large", 4, 1000), ("late", 1, 10)):
            tasks.start_soon(visit, name, slots, cells)
            await anyio.wait_all_tasks_blocked()
        assert order == ["small"]
        leave.set()
    assert order == ["small", "large", "late"]


async def test_everybody_hears_that_somebody_gets_on() -> None:
    shared = pool.Pool(1)
    async with anyio.create_task_group() as tasks:
        visitors = [Visitor(1, False), Visitor(1, False), Visitor(1, True)]
        for one in visitors:
            tasks.start_soon(one.visit, shared)
            await anyio.wait_all_tasks_blocked()
        shared.moved()
        assert [one.moves for one in visitors] == [1, 1, 1]
        visitors[0].leave.set()
        await anyio.wait_all_tasks_blocked()
        assert [one.moves for one in visitors] == [1, 2, 2]
        tasks.cancel_scope.cancel()
