"""Where replies are made: cache, single flight, budget, engine, deadline."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import anyio
import msgspec

from svc import cache
from svc.bus import errors, job
from svc.llm import budget, draft, engine, flight, keeper, meters, preview
from svc.wire import llm

BANTER = "banter"
"""The method of what nobody waits for; it gives way to everything else."""
REPLY_S = 0.1
"""Kept of every deadline, so that the refusal is recorded before the caller gives up."""


class Studio:
    """The handler of `generate` and `banter`."""

    def __init__(
        self, used: engine.Engine, store: cache.Cache, watcher: keeper.Keeper, counted: meters.Meters
    ) -> None:
        self._engine = used
        self._cache = store
        self._keeper = watcher
        self._meters = counted
        self._flights: flight.Flights[llm.Generation] = flight.Flights()

    async def generate(self, request: llm.GenerateRequest, circumstances: job.Job) -> llm.Generation:
        """Drafts of one reply, cleaned.

        Raises Refused: `bad_prompt`, `prompt_too_long`, `deadline_passed`, or the code of an EngineError.
        """
        _check(request)
        key = self.key(request)
        with anyio.move_on_after(circumstances.left_s() - REPLY_S) as scope:
            if not request.fresh and (cached := await self._cache.get(key, llm.Generation)) is not None:
                self._meters.add("cache_hits")
                return msgspec.structs.replace(cached, cached=True)
            try:
                return await self._make(request, circumstances, key)
            except engine.EngineError as error:
                raise self._refusal(error) from None
        # Only a passed deadline leads here.
        assert scope.cancelled_caught
        self._meters.add("deadline_passed")
        raise errors.Refused("deadline_passed", "there was not enough time left to write a reply; ask again")

    def gauges(self) -> Mapping[str, float]:
        pool = self._engine.pool
        return {**self._meters.gauges(), "llm_in_flight": pool.inside, "llm_waiting": pool.waiting}

    def key(self, request: llm.GenerateRequest) -> str:
        """Where a generation is cached: everything that could change a single word is in it."""
        prompt = cache.digest(request.messages, request.opener)
        settings = cache.digest(
            request.stop,
            request.sampling,
            self._engine.name,
            self._engine.model,
            self._engine.context,
            request.guild,
        )
        return f"llm:{prompt}:{request.character}:{settings}"

    async def _make(self, request: llm.GenerateRequest, circumstances: job.Job, key: str) -> llm.Generation:
        async with _listening(request, circumstances) as on_token:

            async def work(heard: engine.OnToken) -> llm.Generation:
                return await self._run(request, circumstances, heard)

            if request.fresh:
                return await work(on_token)
            # Whoever is waited for doesn't join what gives way.
            flight_key = f"{key}:{circumstances.subject.b}"
            made, shared = await self._flights.join(flight_key, work, on_token)
        if shared:
            self._meters.add("coalesced")
        elif any(candidate.text for candidate in made.candidates):
            await self._cache.set(key, made)
        return made

    async def _run(
        self, request: llm.GenerateRequest, circumstances: job.Job, on_token: engine.OnToken
    ) -> llm.Generation:
        start = time.perf_counter()
        first: list[float] = []

        def hear(index: int, text: str) -> None:
            if text and not first:
                first.append(time.perf_counter())
            on_token(index, text)
            self._engine.pool.moved()

        fitted = await budget.fit(
            request.messages,
            self._engine.prompt_max(request.sampling) - budget.MARGIN,
            lambda messages: self._engine.count(messages, request.opener),
        )
        asked = circumstances.subject
        ask = engine.Ask(
            messages=fitted.messages,
            opener=request.opener,
            stop=request.stop,
            sampling=request.sampling,
            character=request.character,
            turn=asked.turn,
            method=asked.b,
            n=asked.n,
            background=asked.b == BANTER,
        )
        made = await self._engine.generate(ask, hear)
        end = time.perf_counter()
        start += made.waited_s
        first_token_ms = ((first[0] if first else end) - start) * 1000
        ms = (end - start) * 1000
        self._meters.generated(made, fitted.dropped, first_token_ms, ms)
        return llm.Generation(
            candidates=tuple(
                llm.Candidate(text=draft.clean(one.text), tokens=one.tokens, finish=one.finish)
                for one in made.drafts
            ),
            model=self._engine.model,
            engine=self._engine.name,
            prompt=fitted.messages,
            prompt_tokens=made.prompt_tokens,
            dropped=fitted.dropped,
            first_token_ms=round(first_token_ms, 1),
            ms=round(ms, 1),
        )

    def _refusal(self, error: engine.EngineError) -> errors.Refused:
        self._meters.add("truncated" if isinstance(error, engine.Truncated) else "errors")
        self._keeper.suspect(error)
        return errors.Refused(error.code, str(error))


def _check(request: llm.GenerateRequest) -> None:
    if not request.messages or request.messages[-1].role == "assistant":
        raise errors.Refused(
            "bad_prompt", "a prompt ends with what is to be answered; use `opener` to begin it"
        )


@contextlib.asynccontextmanager
async def _listening(request: llm.GenerateRequest, circumstances: job.Job) -> AsyncIterator[engine.OnToken]:
    """Every token renews the lease, and is shown to whoever watches when that is asked for."""
    if not request.stream:

        def renew(index: int, text: str) -> None:
            circumstances.progress()

        yield renew
        return
    async with preview.streaming(circumstances, request.opener) as show:

        def renew_and_show(index: int, text: str) -> None:
            circumstances.progress()
            show(index, text)

        yield renew_and_show
