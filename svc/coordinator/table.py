"""The table where everybody talks: hears every message, keeps the history, lets the right character speak.

Only this service publishes turns. One process at a time writes a channel (a lease in STATE); the others give
its messages back until that one takes them. A turn's history is what stands before its message in the record.
"""

from __future__ import annotations

import collections
import contextlib
import time

import anyio

from svc.bus import api, errors, job, limits, schedule, state, subjects
from svc.coordinator import addressing, history
from svc.wire import coordinator, message, turn

HISTORY_LINES = 30
"""Lines a turn carries along; the router uses fewer."""
ELSEWHERE_S = 0.3
"""When another process holds the channel: how soon it is worth asking again."""
LEASES = "lease.channel"
LEAVE_S = 1.0
Lines = list[history.Line]


class Table:
    def __init__(self, bus: api.Bus, channels: history.Channels, names: addressing.Names) -> None:
        self._bus = bus
        self._channels = channels
        self._names = names
        self._leases = state.Leases(bus.state, bus.instance)
        self._locks: dict[str, anyio.Lock] = collections.defaultdict(anyio.Lock)
        self.decisions: collections.Counter[str] = collections.Counter()
        """`spoke` or `silent` -> times."""

    async def leave(self) -> None:
        """Let others write the channels we held."""
        with anyio.move_on_after(LEAVE_S), contextlib.suppress(errors.BusError):
            await self._leases.release()

    def counters(self) -> dict[str, float]:
        counted = self.decisions.items()
        return {f'coordinator_decisions_total{{decision="{name}"}}': float(times) for name, times in counted}

    async def hear(self, heard: message.Heard, job_: job.Job) -> None:
        """Keep the line, decide, publish the turns and the decision. May run twice: all of it is once per id.

        Raises Retry while another process writes the channel.
        """
        # First, as it raises ValueError for an id that is none: then nothing may have been done.
        made = subjects.event("decision", "made", heard.message, heard.revision)
        async with self._locks[heard.channel]:
            await self._hold(heard.channel)
            before = await self._channels.read(heard.channel, job_.sequence)
            before = tuple(line for line in before if line.id != heard.message)  # its words before an edit
            await self._channels.add(heard.channel, job_.sequence, history.of_heard(heard))
            decision = self.decision(heard)
            for character, turn_id in zip(decision.speakers, decision.turns, strict=True):
                taken = self._turn(heard, character, turn_id, before, job_)
                await self._bus.publish(subjects.turn("user", character, turn_id), taken)
            if await self._bus.publish(made, decision):
                self.decisions["spoke" if decision.speakers else "silent"] += 1
        self._tidy()

    async def posted(self, posted: message.Posted, job_: job.Job) -> None:
        """Only what was really posted becomes history. May run twice."""
        async with self._locks[posted.channel]:
            await self._hold(posted.channel)
            await self._channels.add(posted.channel, job_.sequence, history.of_posted(posted))
        self._tidy()

    def decision(self, heard: message.Heard) -> coordinator.Decision:
        """Who answers and why; pure."""
        speaking = addressing.addressed(heard, self._names)
        silent = {name: "not addressed" for name in self._names.ids if name not in speaking}
        return coordinator.Decision(
            message=heard.message,
            channel=heard.channel,
            speakers=tuple(speaking),
            turns=tuple(
                subjects.turn_id(heard.surface, heard.native, name, heard.revision) for name in speaking
            ),
            reasons=speaking | silent,
        )

    async def history(self, request: coordinator.HistoryRequest, _job: job.Job) -> coordinator.History:
        """Answers `history`; does not take the channel from whoever writes it."""
        lines = [line for _, line in await self._numbered(request.channel)]
        return coordinator.History(channel=request.channel, utterances=tuple(lines[-request.limit :]))

    async def floor(self, request: coordinator.FloorRequest, _job: job.Job) -> coordinator.Floor:
        """Answers `floor`, for turns that were planned; does not take the channel either."""
        lines = await self._numbered(request.channel)
        return coordinator.Floor(channel=request.channel, since=history.last_of_a_person(lines))

    async def cue(self, request: coordinator.CueRequest, job_: job.Job) -> coordinator.Cued:
        """Answers `cue`: plan a turn. May run twice: the id of the request is the plan's.

        Raises Refused for a character that isn't there.
        """
        if request.character not in self._names.ids:
            known = ", ".join(sorted(self._names.ids))
            raise errors.Refused(
                "unknown_character", f"there is no character {request.character!r}: choose from {known}"
            )
        lines = await self._numbered(request.channel)
        since = history.last_of_a_person(lines)
        turn_id = subjects.turn_id(request.surface, job_.subject.turn, request.character)
        at = job_.stored_at + request.in_s
        planned = turn.Turn(
            id=turn_id,
            origin=request.origin,
            character=request.character,
            surface=request.surface,
            channel=request.channel,
            message="",
            text=request.text,
            author=request.author,
            native=request.native,
            guild=request.guild,
            history=tuple(line for _, line in lines[-HISTORY_LINES:]),
            heard=len(lines),
            at=at,
            expires_at=at + limits.ORGANIC_S,
            since=since,
        )
        await schedule.plan(self._bus, request.origin, request.character, turn_id, planned, at=at)
        return coordinator.Cued(turn=turn_id, at=at, since=since)

    async def decide(self, request: coordinator.DecideRequest, _job: job.Job) -> coordinator.Decision:
        """Answers `decide`: a dry run."""
        return self.decision(request.heard)

    async def _numbered(self, channel: str) -> Lines:
        """The lines of a channel, oldest first, whoever writes it."""
        if self._leases.holds(_lease(channel)):
            async with self._locks[channel]:
                return await self._channels.numbered(channel)
        return await self._channels.peek(channel)

    async def _hold(self, channel: str) -> None:
        hold = await self._leases.acquire(_lease(channel))
        if hold == "denied":
            raise errors.Retry("another process writes this channel", ELSEWHERE_S)
        if hold == "taken":
            self._channels.forget(channel)

    def _turn(
        self,
        heard: message.Heard,
        character: str,
        turn_id: str,
        before: tuple[message.Utterance, ...],
        job_: job.Job,
    ) -> turn.Turn:
        return turn.Turn(
            id=turn_id,
            origin="user",
            character=character,
            surface=heard.surface,
            channel=heard.channel,
            message=heard.message,
            text=heard.text,
            author=heard.author,
            native=heard.native,
            guild=heard.guild,
            history=before[-HISTORY_LINES:],
            heard=len(before),
            at=time.time(),
            expires_at=job_.stored_at + limits.TURN_AGE_S,
        )

    def _tidy(self) -> None:
        """Locks of quiet channels and leases that ran out cost memory for nothing."""
        if len(self._locks) > history.CHANNELS_MAX:
            self._leases.forget()
            for channel in [name for name, lock in self._locks.items() if not lock.locked()]:
                del self._locks[channel]


def _lease(channel: str) -> str:
    return f"{LEASES}.{subjects.short_hash(channel)}"
