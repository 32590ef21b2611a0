"""Posting on the surfaces `console` and `http`: there is nothing to send to, so the receipt is the post.

The feed sees the receipt in the record and shows it to whoever watches that channel.
"""

from __future__ import annotations

import logging
from collections import Counter

from svc.bus import job, subjects
from svc.wire import message

log = logging.getLogger(__name__)


class Posting:
    """The handler of `say.console.>` and `say.http.>`. May run twice: the receipt is written once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def post(self, request: message.Say, job: job.Job) -> None:
        """Record `evt.message.posted.<turn>.<piece>`, or `evt.turn.undelivered…` past the say's expiry."""
        now, piece = job.now(), int(job.subject.n)
        subject = subjects.event("message", "posted", request.turn, piece)
        if job.maybe_repeated() and await job.bus.last(subject):
            return  # what was posted in time is not late now
        if request.expires_at and now > request.expires_at:
            await self._expired(request, piece, now, job)
            return
        receipt = message.Posted(
            turn=request.turn,
            piece=piece,
            surface=request.surface,
            channel=request.channel,
            character=request.character,
            text=request.text,
            guild=request.guild,
            native=f"{request.turn}-{piece}",
            reply_to=request.reply_to,
            at=now,
            notice=request.notice,
        )
        if await job.bus.publish(subject, receipt):
            self.counts["posted"] += 1

    async def _expired(self, request: message.Say, piece: int, now: float, job: job.Job) -> None:
        late_s = now - request.expires_at
        log.info("turn %s came %.1f s too late and is not posted", request.turn, late_s)
        undelivered = message.Undelivered(
            turn=request.turn,
            piece=piece,
            channel=request.channel,
            character=request.character,
            reason="expired",
            guild=request.guild,
            detail=f"{late_s:.1f} s too late",
            at=now,
        )
        subject = subjects.event("turn", "undelivered", request.turn, piece)
        if await job.bus.publish(subject, undelivered):
            self.counts["expired"] += 1
