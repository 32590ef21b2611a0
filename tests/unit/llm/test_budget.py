"""Nothing too long is ever sent, and what goes first is what was said to go first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.bus import errors
from svc.llm import budget
from svc.wire import llm

pytestmark = pytest.mark.anyio

MESSAGES = st.lists(
    st.builds(
        llm.ChatMessage,
        role=st.sampled_from(["system", "user", "assistant"]),
        content=st.integers(0, 12).map(lambda words: "w " * words),
        drop=st.integers(0, 3),
    ),
    max_size=12,
)


async def _count(messages: Sequence[llm.ChatMessage]) -> int:
    return sum(1 + len(message.content.split()) for message in messages)


@given(messages=MESSAGES, room=st.integers(0, 80))
async def test_it_fits_or_is_refused(messages: list[llm.ChatMessage], room: int) -> None:
    needed = [message for message in messages if message.drop == 0]
    if await _count(needed) > room:
        with pytest.raises(errors.Refused, match="QUAHOG_NUM_CTX") as refused:
            await budget.fit(messages, room, _count)
        assert refused.value.code == "prompt_too_long"
        return
    fitted = await budget.fit(messages, room, _count)
    assert fitted.tokens == await _count(fitted.messages) <= room
    assert fitted.dropped == len(messages) - len(fitted.messages)
    assert [message for message in fitted.messages if message.drop == 0] == needed
    assert _is_subsequence(fitted.messages, messages)
    if fitted.dropped:
        # One message more would not have fitted: putting the last dropped one back is too long.
        order = sorted(range(len(messages)), key=lambda index: (-messages[index].drop, index))
        gone = set(order[: fitted.dropped - 1])
        assert await _count([m for index, m in enumerate(messages) if index not in gone]) > room


def _is_subsequence(part: Sequence[llm.ChatMessage], whole: Sequence[llm.ChatMessage]) -> bool:
    rest = iter(whole)
    return all(any(message is other for other in rest) for message in part)


async def test_the_highest_number_goes_first_and_the_oldest_of_equals() -> None:
    def message(content: str, drop: int) -> llm.ChatMessage:
        return llm.ChatMessage(role="user", content=content, drop=drop)

    messages = [message("persona", 0), message("old", 1), message("a", 2), message("b", 2), message("now", 0)]
    fitted = await budget.fit(messages, 8, _count)
    assert [one.content for one in fitted.messages] == ["persona", "old", "b", "now"]


async def test_the_same_message_twice_is_dropped_once() -> None:
    same = llm.ChatMessage(role="user", content="ha", drop=1)
    assert len((await budget.fit([same, same, same], 4, _count)).messages) == 2
