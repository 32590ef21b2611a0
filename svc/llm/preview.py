"""Live preview: drafts on `tok.…` while they are made, in few messages."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from svc.bus import job, subjects
from svc.llm import draft, engine
from svc.wire import llm

PERIOD_S = 0.05
"""At most 20 messages a second per candidate: what an eye can follow."""


@contextlib.asynccontextmanager
async def streaming(circumstances: job.Job, opener: str) -> AsyncIterator[engine.OnToken]:
    """Yields an `on_token` whose text goes out as `tok.llm.<method>.<turn>.<n>`, the opener first.

    The pieces of a candidate, put together, are its text before cleaning. What is unsent when the block ends
    is sent, unless it ends by an exception or a cancellation.
    """
    pieces: dict[int, str] = {}
    started: set[int] = set()

    def on_token(index: int, text: str) -> None:
        if text and index not in started:
            started.add(index)
            text = draft.joined(opener, text)
        if text:
            pieces[index] = pieces.get(index, "") + text

    asked = circumstances.subject
    subject = subjects.token(asked.a, asked.b, asked.turn, asked.n)

    async def flush() -> None:
        for index in sorted(pieces):
            await circumstances.bus.cast(subject, llm.Token(text=pieces.pop(index), index=index))

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_repeat, flush)
        try:
            yield on_token
        except Exception as error:  # as it is, not in a group of one
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await flush()


async def _repeat(flush: Callable[[], Awaitable[None]]) -> None:
    while True:
        await anyio.sleep(PERIOD_S)
        with anyio.CancelScope(shield=True):  # what was taken out is sent
            await flush()
