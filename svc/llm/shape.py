"""Message lists in the shape a model's chat template takes.

Some templates know no system role, or insist that user and assistant take turns. Which of three shapes a
model takes is found out once, when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from svc.wire import llm

Shape = Callable[[Sequence[llm.ChatMessage]], tuple[llm.ChatMessage, ...]]


def plain(messages: Sequence[llm.ChatMessage]) -> tuple[llm.ChatMessage, ...]:
    """As they are."""
    return tuple(messages)


def merged(messages: Sequence[llm.ChatMessage]) -> tuple[llm.ChatMessage, ...]:
    """Every system message in one at the top, and neighbours of one role made one."""
    systems = [message for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    return _join([*systems, *others])


def folded(messages: Sequence[llm.ChatMessage]) -> tuple[llm.ChatMessage, ...]:
    """Like `merged`, with the system message at the head of the first user message."""
    first = merged(messages)
    if not first or first[0].role != "system":
        return first
    return _join([llm.ChatMessage(role="user", content=first[0].content), *first[1:]])


def _join(messages: Sequence[llm.ChatMessage]) -> tuple[llm.ChatMessage, ...]:
    made: list[llm.ChatMessage] = []
    for message in messages:
        if made and made[-1].role == message.role:
            content = f"{made.pop().content}\n\n{message.content}"
            message = llm.ChatMessage(role=message.role, content=content)
        made.append(message)
    return tuple(made)


SHAPES: tuple[Shape, ...] = (plain, merged, folded)
"""Most faithful first."""

PROBE = (
    llm.ChatMessage(role="system", content="a"),
    llm.ChatMessage(role="user", content="b"),
    llm.ChatMessage(role="assistant", content="c"),
    llm.ChatMessage(role="system", content="d"),
    llm.ChatMessage(role="user", content="e"),
    llm.ChatMessage(role="user", content="f"),
)
"""Every liberty our prompts take, in one list."""
