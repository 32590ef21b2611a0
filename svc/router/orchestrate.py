"""The synchronous door: say something as a surface would, and wait for how the turn ends.

It publishes nothing but `heard`; the coordinator publishes the turn, as for every other message.
"""

from __future__ import annotations

import time

import anyio

from svc.bus import api, errors, job, subjects
from svc.wire import base, message, router, turn

CHECK_S = 1.0
"""How often the record is read in case the notification was missed."""


class Door:
    """Answers `orchestrate`."""

    def __init__(self, bus: api.Bus, known: frozenset[str]) -> None:
        self._bus = bus
        self._known = known
        """Character ids."""

    async def orchestrate(self, request: router.OrchestrateRequest, job_: job.Job) -> router.Orchestrated:
        """Raises Refused for an unknown character or a message without words. May run twice: same turn."""
        if request.character not in self._known:
            raise errors.Refused(
                "unknown_character",
                f"there is no character {request.character!r}: choose from {', '.join(sorted(self._known))}",
            )
        if not request.text.strip():
            raise errors.Refused("empty_text", "the message has no words: say something")
        native = request.native or job_.subject.turn
        turn_id = subjects.turn_id(router.SURFACE, native, request.character)
        async with self._bus.listen(subjects.event("turn", "ended", turn_id)) as outcomes:
            await self._hear(request, native)
            while job_.left_s() > 0:
                if stored := await self._bus.ended(turn_id):
                    return _orchestrated(base.decode(stored.data, turn.Ended))
                job_.progress()
                with anyio.move_on_after(CHECK_S):
                    async for _ in outcomes:
                        break
        raise errors.Refused("no_outcome", f"turn {turn_id} has not ended yet: see `quahog turn {turn_id}`")

    async def _hear(self, request: router.OrchestrateRequest, native: str) -> None:
        heard = message.Heard(
            # Per character: the same words to a second one are a second message.
            message=subjects.message_id(router.SURFACE, f"{native} {request.character}"),
            native=native,
            surface=router.SURFACE,
            # Always of this surface: nobody writes into a Discord channel's history from here.
            channel=f"{router.SURFACE}-{(request.channel or native).removeprefix(f'{router.SURFACE}-')}",
            author=request.author,
            text=request.text,
            to=(request.character,),
            at=time.time(),
        )
        await self._bus.publish(subjects.event("message", "heard", heard.message, heard.revision), heard)


def _orchestrated(ended: turn.Ended) -> router.Orchestrated:
    return router.Orchestrated(
        turn=ended.turn,
        character=ended.character,
        text=ended.text,
        accepted=ended.outcome == "answered",
        attempts=len(ended.attempts),
        score=ended.verdict.score if ended.verdict else 0.0,
        ms=ended.ms,
        ended=ended,
    )
