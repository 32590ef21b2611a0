"""The people in front of the page: they repeat what wasn't taken, and miss nothing that was shown."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from svc import errors
from svc.chaos import crowd, plan, tally
from tests.unit.chaos import page

pytestmark = pytest.mark.anyio

MESSAGE = plan.Message(number=0, native="n1", channel="den", text="Beer?", to=("peter",))
ASKED = tally.Asked("console-den", "n1", "peter")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "AGAIN_S", 0.01)
    monkeypatch.setattr(crowd, "PATIENCE_S", 0.05)


async def at_once(message: plan.Message) -> None:
    return None


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(5):
        while not holds():
            await anyio.sleep(0.01)


async def talked(people: crowd.Crowd, *messages: plan.Message) -> None:
    with anyio.fail_after(5):
        await people.talk(messages or (MESSAGE,), at_once)


async def test_the_cast_is_who_the_page_names() -> None:
    async with page.visited(page.Page(), tally.Tally()) as people:
        assert await people.cast() == ("peter", "brian")


async def test_what_is_not_taken_is_said_again_under_the_same_id() -> None:
    shown, counted = page.Page(), tally.Tally()
    shown.refusals = [503, 429, 0, 504]
    async with page.visited(shown, counted) as people:
        await talked(people)
        assert people.offered == 1
        assert list(people.accepted_at) == [ASKED]
    assert len(shown.said) == 5
    assert {(said["native"], said["text"], said["channel"]) for said in shown.said} == {
        ("n1", "Beer?", "den")
    }
    assert counted.turn_of(ASKED) == "n1-peter"
    assert counted.missing() == (ASKED,)


async def test_what_nobody_ever_takes_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "SAY_S", 0.1)
    shown, counted = page.Page(), tally.Tally()
    shown.refusals = [503] * 100
    async with page.visited(shown, counted) as people:
        await talked(people)
        assert people.offered == 1
    assert counted.verdict().accepted == ()


async def test_a_refusal_for_good_is_our_own_mistake() -> None:
    shown = page.Page()
    shown.refusals = [404]
    async with page.visited(shown, tally.Tally()) as people:
        with pytest.raises(BaseExceptionGroup) as raised:
            await talked(people)
    assert raised.group_contains(errors.StackError, match="refused what was said")


async def test_nobody_speaks_out_of_turn() -> None:
    """Each message is held until its time, and all of them are said."""
    shown, counted, gate = page.Page(), tally.Tally(), anyio.Event()
    messages = [plan.Message(number, f"n{number}", "den", "Beer?", ("peter",)) for number in range(20)]

    async def may_offer(message: plan.Message) -> None:
        if message.number >= 10:
            await gate.wait()

    async with page.visited(shown, counted) as people, anyio.create_task_group() as tasks:
        tasks.start_soon(people.talk, messages, may_offer)
        await until(lambda: len(shown.said) == 10)
        gate.set()
    assert {said["native"] for said in shown.said} == {message.native for message in messages}


async def test_people_wait_when_too_much_is_on_its_way_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowd, "UNANSWERED_MAX", 4)
    monkeypatch.setattr(crowd, "FORGOTTEN_S", 0.5)
    shown, counted = page.Page(), tally.Tally()
    messages = [plan.Message(number, f"n{number}", "den", "Beer?", ("peter",)) for number in range(40)]
    async with page.visited(shown, counted) as people:
        with anyio.move_on_after(0.4):
            await people.talk(messages, at_once)
        assert people.offered == crowd.UNANSWERED_MAX
    async with page.visited(page.Page(), counted) as people:
        await talked(people, *messages[:10])
        assert people.offered == 10


async def test_a_broken_stream_is_opened_again_where_it_broke() -> None:
    shown, counted = page.Page(), tally.Tally()
    shown.streams = [
        page.ready(5, resumed=False),
        page.posted(7),
        page.posted(7) + page.ready(9, resumed=True),
    ]
    async with page.visited(shown, counted) as people, anyio.create_task_group() as tasks:
        await talked(people)
        await tasks.start(people.watch, "den")
        await until(lambda: len(shown.opened) == 4)
        tasks.cancel_scope.cancel()
    assert shown.opened == ["", "5", "7", "9"]
    assert shown.reads == 1  # once at first; nothing was missed later
    assert counted.verdict().answered == (ASKED,)
    assert counted.verdict().duplicated == ()


async def test_a_gap_is_closed_from_the_history_even_when_that_fails_at_first() -> None:
    shown, counted = page.Page(), tally.Tally()
    shown.streams = [page.ready(5, resumed=False), page.ready(0, resumed=False), page.ready(9, resumed=True)]
    shown.histories = [[], 503, [page.line(), {"id": "m-0", "text": "Beer?", "author": {"id": "local"}}]]
    async with page.visited(shown, counted) as people, anyio.create_task_group() as tasks:
        await talked(people)
        await tasks.start(people.watch, "den")
        await until(lambda: counted.verdict().answered)
        assert people.reloaded == []
        tasks.cancel_scope.cancel()
    assert shown.reads == 3
    assert list(people.shown_at) == [ASKED]


async def test_what_a_page_shows_only_when_loaded_anew_is_told_apart() -> None:
    shown, counted = page.Page(), tally.Tally()
    shown.histories = [[page.line()], [page.line()], 500]
    async with page.visited(shown, counted) as people:
        await talked(people)
        await people.reload(["den"])
        await people.reload(["den"])
        await people.reload(["den"])  # a page that can't be loaded now is no error
    assert people.reloaded == [ASKED]
    assert counted.verdict().answered == (ASKED,)


async def test_a_double_is_seen_on_the_page() -> None:
    shown, counted = page.Page(), tally.Tally()
    shown.streams = [page.ready(5, resumed=False) + page.posted(7) + page.posted(8)]
    async with page.visited(shown, counted) as people, anyio.create_task_group() as tasks:
        await talked(people)
        await tasks.start(people.watch, "den")
        await until(lambda: len(shown.opened) == 2)
        tasks.cancel_scope.cancel()
    assert counted.verdict().duplicated == (ASKED,)
