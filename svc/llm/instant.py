"""An engine without a model: it answers at once, in character, and always the same to the same prompt.

For tests and benchmarks of everything round the model. It says something about what it was asked, so that
the quality gate has reason to accept it; it can't hold a conversation.
"""

from __future__ import annotations

import functools
import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from svc.bus import limits
from svc.llm import engine, lines, pool
from svc.wire import base, characters, llm

WORD = re.compile(r"[A-Za-z][A-Za-z'-]{2,}")
_DULL = """
about all and any anything are been but can could did does doing don't else ever for from get going
had has have hello hey him his how i'm into it's just know let like look make many may me more much
need not now off one our out over please really said say she should some something such tell than
thank thanks that that's the their them then there they thing things think this today told too very
want was way were what what's when where which who why will with would you you're your yours yes yet
"""
DULL = frozenset(_DULL.split())
"""Words that nobody talks about."""


class Instant:
    """`engine.Engine` that writes from a list."""

    name = "instant"
    model = "instant"

    def __init__(self, *, context: int, delay_ms: int = 0, log: Path | None = None) -> None:
        self.context = context
        self.pool = pool.Pool(limits.MODEL_SLOTS)
        self._delay_s = delay_ms / 1000
        self.silence_s = self._delay_s + limits.MODEL_STALL_S
        self._log = log

    async def warm(self) -> None:
        """Nothing to load."""

    def prompt_max(self, sampling: characters.Sampling) -> int:
        return self.context - engine.Ask(messages=(), sampling=sampling).max_tokens

    async def count(self, messages: Sequence[llm.ChatMessage], opener: str) -> int:
        """Words."""
        return sum(len(message.content.split()) for message in messages) + len(opener.split())

    async def generate(self, ask: engine.Ask, on_token: engine.OnToken) -> engine.Drafts:
        """Waits the set delay, half of it before the first word. Its lines need no opener."""
        moved = functools.partial(on_token, 0, "")
        async with self.pool.take(1, background=ask.background, moved=moved) as place:
            await anyio.sleep(self._delay_s / 2)
            drafts = []
            for index in range(ask.candidates):
                words = _line(ask, index).split()[: ask.max_tokens]
                for number, word in enumerate(words):
                    on_token(index, word if number == 0 else f" {word}")
                drafts.append(engine.Draft(text=" ".join(words), tokens=len(words), finish="stop"))
            await anyio.sleep(self._delay_s / 2)
            if self._log is not None:
                await anyio.to_thread.run_sync(_append, self._log, ask, drafts[0].text)
        prompt_tokens = await self.count(ask.messages, ask.opener)
        return engine.Drafts(tuple(drafts), prompt_tokens, place.waited_s)

    async def check(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to close."""


def _line(ask: engine.Ask, index: int) -> str:
    said = next((message.content for message in reversed(ask.messages) if message.role == "user"), "")
    # The whole prompt counts, so that a retry with another guidance says something else; so does the seed.
    whole = base.encode((ask.messages, ask.sampling.seed))
    start = int.from_bytes(hashlib.blake2b(whole, digest_size=4).digest(), "big")
    known = lines.CAST.get(ask.character, lines.ANYBODY)
    line = known[(start + index) % len(known)].replace("{word}", _topic(said))
    return line[:1].upper() + line[1:]


def _topic(said: str) -> str:
    """The longest word worth talking about; the first of equals."""
    words = [word for word in WORD.findall(said) if word.lower() not in DULL]
    return max(words, key=len, default="that").lower()


def _append(log: Path, ask: engine.Ask, text: str) -> None:
    """One line in one write, so that several processes may share the file."""
    line = base.encode({"at": time.time(), "turn": ask.turn, "method": ask.method, "n": ask.n, "text": text})
    with log.open("ab") as file:
        file.write(line + b"\n")
