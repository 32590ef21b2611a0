"""What happens, for everybody who watches: one reader of the record per process, fanned out to viewers.

Messages heard and posted and outcomes come from `RECORD`, in order, without gaps, numbered by its sequence:
a viewer that was away names the last number it saw and gets what it missed out of the ring. Decisions and
tokens are heard live and never stored here; a preview that was missed is no loss.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import msgspec
from anyio.streams import memory

from svc import errors
from svc.bridge import sse
from svc.bus import api, subjects
from svc.wire import base, coordinator, llm, message, turn

log = logging.getLogger(__name__)

PATTERNS = ("evt.message.>", "evt.turn.>")
RING = 1_000
"""Events kept for catching up: an evening of chat, some MiB."""
BACKLOG = 512
"""Frames a viewer may lag behind before it is dropped (it reconnects and catches up)."""
VIEWERS_MAX = 64
TURNS = 1_000
"""Turns whose channel is remembered, to know whom a token concerns."""
RECENT = 1_000
"""Messages of the record that a fresh bridge reads first: whoever watched the one before missed some of them,
and the history may be even later than we are."""
PAUSE_S = 1.0
"""Between tries while the broker is away."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a `token` event."""

    turn: str
    character: str
    n: str
    """Attempt, as in the token's subject."""
    index: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Event:
    sequence: int
    channel: str
    frame: bytes


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Viewer:
    """One open page: what it missed, then what comes. `frames` ends when it was too slow, or at shutdown."""

    channel: str
    resumed: bool
    """True when `missed` is all that happened since; False: it is only the latest, read the history."""
    last: int
    """The record's newest sequence when it came; 0 = unknown yet."""
    missed: tuple[bytes, ...]
    frames: memory.MemoryObjectReceiveStream[bytes]
    queue: memory.MemoryObjectSendStream[bytes]


class Full(errors.QuahogError):
    """As many pages as this process serves are open: close one."""


class Feed:
    """Reads the record once and fans it out. `run()` lives as long as the service."""

    def __init__(self, bus: api.Bus) -> None:
        self.bus = bus
        self.dropped = 0
        self.last = 0
        self._floor: int | None = None
        """The ring holds everything after this sequence; None = nothing was seen yet."""
        self._ring: deque[_Event] = deque()
        self._viewers: set[Viewer] = set()
        self._turns: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Turn -> (channel, character), newest last."""

    async def run(self) -> None:
        """Never returns; a broker that is away is waited for."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self._listen, "evt.decision.made.>", self._decided)
            tasks.start_soon(self._listen, "tok.llm.>", self._token)

    @contextlib.contextmanager
    def watch(self, channel: str, since: int | None) -> Iterator[Viewer]:
        """A viewer of `channel`; `since` = the last sequence it saw, None = it comes for the first time.

        Raises Full.
        """
        if len(self._viewers) >= VIEWERS_MAX:
            raise Full(f"{VIEWERS_MAX} consoles are open already: close one")
        resumed = since is not None and self._floor is not None and self._floor <= since <= self.last
        after = since if resumed and since is not None else 0
        # A newcomer gets the latest as well: the history may lag some milliseconds behind the record.
        missed = tuple(one.frame for one in self._ring if one.channel == channel and one.sequence > after)
        queue, frames = anyio.create_memory_object_stream[bytes](BACKLOG)
        viewer = Viewer(channel, resumed, self.last, missed, frames, queue)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            queue.close()
            frames.close()

    def viewers(self) -> int:
        return len(self._viewers)

    def close(self) -> None:
        """Send every viewer away; each of them reconnects and catches up."""
        for viewer in self._viewers:
            viewer.queue.close()
        self._viewers.clear()

    def expect(self, turn_: str, channel: str, character: str) -> None:
        """Remember where a turn belongs, so that its tokens are shown there."""
        self._turns[turn_] = (channel, character)
        self._turns.move_to_end(turn_)
        while len(self._turns) > TURNS:
            self._turns.popitem(last=False)

    async def _follow(self) -> None:
        while True:
            try:
                async with self.bus.follow("RECORD", PATTERNS, since=self.last or -RECENT) as stored:
                    async for one in stored:
                        self._stored(one)
            except errors.QuahogError as error:
                log.info("following the record again: %s", error)
            if self._floor is None:
                # Whoever watches may have missed something that has no number yet: they start afresh.
                self.close()
            await anyio.sleep(PAUSE_S)

    async def _listen(self, pattern: str, each: Callable[[api.Message], None]) -> None:
        while True:
            try:
                async with self.bus.listen(pattern) as heard:
                    async for one in heard:
                        with _skipped(one):
                            each(one)
            except errors.QuahogError as error:
                log.info("listening to %s again: %s", pattern, error)
            await anyio.sleep(PAUSE_S)

    def _stored(self, one: api.Message) -> None:
        """Put one stored message into the ring and out to the viewers of its channel."""
        if self._floor is None:
            self._floor = one.sequence - 1
        self.last = one.sequence
        with _skipped(one):
            subject = subjects.parse(one.subject)
            if kind := STORED.get((subject.a, subject.b)):
                body = base.decode(one.data, kind)
                frame = sse.frame(kind.__name__.lower(), base.encode(body), sequence=one.sequence)
                self._ring.append(_Event(one.sequence, body.channel, frame))
                if len(self._ring) > RING:
                    self._floor = self._ring.popleft().sequence
                self._send(body.channel, frame)

    def _decided(self, one: api.Message) -> None:
        decision = base.decode(one.data, coordinator.Decision)
        for turn_, character in zip(decision.turns, decision.speakers, strict=False):
            self.expect(turn_, decision.channel, character)
        self._send(decision.channel, sse.frame("decision", base.encode(decision)))

    def _token(self, one: api.Message) -> None:
        subject = subjects.parse(one.subject)
        if (place := self._turns.get(subject.turn)) is None:
            return
        channel, character = place
        token = base.decode(one.data, llm.Token)
        preview = Preview(
            turn=subject.turn, character=character, n=subject.n, index=token.index, text=token.text
        )
        self._send(channel, sse.frame("token", base.encode(preview)))

    def _send(self, channel: str, frame: bytes) -> None:
        for viewer in [viewer for viewer in self._viewers if viewer.channel == channel]:
            try:
                viewer.queue.send_nowait(frame)
            except anyio.WouldBlock:
                self.dropped += 1
                self._viewers.discard(viewer)
                viewer.queue.close()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._viewers.discard(viewer)


STORED: dict[tuple[str, str], Any] = {
    ("message", "heard"): message.Heard,
    ("message", "posted"): message.Posted,
    ("turn", "ended"): turn.Ended,
}
"""Noun and verb of a stored event -> its body; the body's name is the name of the SSE event."""


@contextlib.contextmanager
def _skipped(one: api.Message) -> Iterator[None]:
    """A message that can't be read is somebody else's bug; it must not stop the feed."""
    try:
        yield
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("skipped %s: %s", one.subject, error)
