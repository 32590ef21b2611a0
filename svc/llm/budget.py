"""Fitting a prompt into the model's context by dropping what matters least.

Engines cut a prompt that is too long themselves, silently, and begin with the system prompt; so nothing that
is too long is ever sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from svc.bus import errors
from svc.wire import llm

MARGIN = 32
"""Tokens kept free: what a template adds round the messages, and the seam of the opener."""

Count = Callable[[Sequence[llm.ChatMessage]], Awaitable[int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Fitted:
    messages: tuple[llm.ChatMessage, ...]
    """In their order."""
    tokens: int
    dropped: int


async def fit(messages: Sequence[llm.ChatMessage], room: int, count: Count) -> Fitted:
    """Drop messages until `count` of the rest is at most `room` tokens.

    The highest `drop` goes first, the oldest of equals first; `drop=0` never goes. One count per drop.
    Raises Refused("prompt_too_long") when what may not be dropped is too long already.
    """
    order = sorted(
        (index for index, message in enumerate(messages) if message.drop > 0),
        key=lambda index: (-messages[index].drop, index),
    )
    tokens = 0
    for dropped in range(len(order) + 1):
        gone = frozenset(order[:dropped])
        left = tuple(message for index, message in enumerate(messages) if index not in gone)
        tokens = await count(left)
        if tokens <= room:
            return Fitted(left, tokens, dropped)
    raise errors.Refused(
        "prompt_too_long",
        f"the prompt has {tokens} tokens without anything that may be dropped, and {room} fit: "
        "shorten the character's summary and examples, or raise QUAHOG_NUM_CTX",
    )
