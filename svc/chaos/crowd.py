"""The people in front of the page: they say what the plan says, and keep what they are shown.

They know Quahog only as a browser does: what was said is repeated under the same `native` id until it is
taken, the events of every channel are watched all the time, and a broken stream is opened again with the last
id. Where the bridge can't say that nothing was missed, the history is read, and again when that fails.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import aiohttp
import anyio
import anyio.abc
import msgspec

from svc import errors
from svc.bus import limits
from svc.chaos import events, plan, tally

PEOPLE = 6
"""Who say something at the same time: with three characters, up to 18 turns are on their way."""
PATIENCE_S = 3.0
"""Who got no answer for this long says the next thing anyway: trouble meets fresh turns, too."""
UNANSWERED_MAX = limits.MODEL_WAITING_MAX * 3 // 4
"""Turns on their way at which nobody says anything new: more than may wait for the model are rightly shed,
and this is about trouble, not about overload."""
FORGOTTEN_S = 120.0
"""Nobody waits for an answer longer than this before saying something new; it may be lost."""
SAY_TRY_S = 10.0
"""One try to say something. A bridge that hangs takes the connection and stays silent."""
SAY_S = 300.0
"""All tries together; what nobody took by then was never accepted."""
AGAIN_S = 0.3
"""Before a request or a stream that broke off is tried again."""
HISTORY_S = 10.0
SILENCE_S = 60.0
"""A stream without even a heartbeat (every 15 s) for this long is opened again."""
BUFFER_BYTES = 1024 * 1024
"""The longest line of a stream: an outcome with ten attempts and its passages."""
OK, ACCEPTED, TOO_MANY, SERVER_TROUBLE = 200, 202, 429, 500
BROKEN = (aiohttp.ClientError, OSError, TimeoutError)


class _Promise(msgspec.Struct, frozen=True):
    character: str
    turn: str


class _Taken(msgspec.Struct, frozen=True):
    turns: tuple[_Promise, ...]


class _Posted(msgspec.Struct, frozen=True):
    turn: str
    piece: int
    channel: str
    character: str
    text: str
    reply_to: str = ""


class _Ready(msgspec.Struct, frozen=True):
    resumed: bool = False


class _Utterance(msgspec.Struct, frozen=True):
    id: str
    text: str
    character: str = ""


class _History(msgspec.Struct, frozen=True):
    utterances: tuple[_Utterance, ...] = ()


class _Member(msgspec.Struct, frozen=True):
    id: str


class _Cast(msgspec.Struct, frozen=True):
    cast: tuple[_Member, ...]


class Crowd:
    """Everybody there is. `watch` runs for every channel before the first `talk`."""

    def __init__(self, http: aiohttp.ClientSession, address: Callable[[], str], counted: tally.Tally) -> None:
        """`address`: where the page is at this moment; it may move."""
        self._http = http
        self._address = address
        self._tally = counted
        self._answered: dict[tally.Asked, anyio.Event] = {}
        self._offered_at: dict[tally.Asked, float] = {}
        self.accepted_at: dict[tally.Asked, float] = {}
        self.shown_at: dict[tally.Asked, float] = {}
        """In seconds of `time.monotonic`, when it was accepted and first shown."""
        self.reloaded: list[tally.Asked] = []
        """Answers that no open page showed, only one that was loaded anew."""

    @property
    def offered(self) -> int:
        """Turns."""
        return len(self._offered_at)

    async def cast(self) -> tuple[str, ...]:
        """Ids of the characters. Raises what `aiohttp` raises."""
        found = msgspec.json.decode(await self._get("/api/cast", {}), type=_Cast)
        return tuple(member.id for member in found.cast)

    # -- saying ----------------------------------------------------------------------------------------

    async def talk(
        self, messages: Sequence[plan.Message], may_offer: Callable[[plan.Message], Awaitable[None]]
    ) -> None:
        """Offer all messages in their order, `PEOPLE` at a time. `may_offer` holds each until its time."""
        left = iter(messages)

        async def person() -> None:
            for message in left:
                await self._room(message)
                await may_offer(message)
                await self._say(message)
                with anyio.move_on_after(PATIENCE_S):
                    for asked in _asked(message):
                        await self._answered[asked].wait()

        async with anyio.create_task_group() as people:
            for _ in range(PEOPLE):
                people.start_soon(person)

    async def _room(self, message: plan.Message) -> None:
        """Wait until not too many turns are on their way, and take a place among them."""
        while True:
            since = time.monotonic() - FORGOTTEN_S
            asked = (one for one, at in self._offered_at.items() if at > since and one not in self.shown_at)
            if len(list(asked)) < UNANSWERED_MAX:
                self._offered_at |= dict.fromkeys(_asked(message), time.monotonic())
                return
            await anyio.sleep(AGAIN_S)

    async def _say(self, message: plan.Message) -> None:
        """Until it is taken. Raises StackError when it is refused for good: then we talk nonsense."""
        asked = _asked(message)
        self._tally.offer(asked)
        self._answered |= {one: anyio.Event() for one in asked}
        body = {
            "text": message.text,
            "to": message.to,
            "channel": message.channel,
            "name": "Chaos",
            "native": message.native,
        }
        deadline = time.monotonic() + SAY_S
        while time.monotonic() < deadline:
            try:
                if taken := await self._post(body):
                    break
            except BROKEN:
                pass
            await anyio.sleep(AGAIN_S)
        else:
            return
        promised = {
            tally.Asked(scoped(message.channel), message.native, one.character): one.turn
            for one in taken.turns
        }
        if set(promised) != set(asked):
            raise errors.StackError(
                f"{message.native} is for {message.to}, and the bridge took it for {taken}"
            )
        for one, turn in promised.items():
            self._tally.accept(one, turn)
            self.accepted_at[one] = time.monotonic()

    async def _post(self, body: Mapping[str, object]) -> _Taken | None:
        """None = not now."""
        headers = {"Content-Type": "application/json"}
        limit = aiohttp.ClientTimeout(total=SAY_TRY_S)
        url = f"{self._address()}api/say"
        async with self._http.post(
            url, data=msgspec.json.encode(body), headers=headers, timeout=limit
        ) as answer:
            text = await answer.read()
            if answer.status == ACCEPTED:
                return msgspec.json.decode(text, type=_Taken)
            if answer.status < SERVER_TROUBLE and answer.status != TOO_MANY:
                raise errors.StackError(f"the bridge refused what was said: {text.decode(errors='replace')}")
            return None

    # -- watching --------------------------------------------------------------------------------------

    async def watch(self, channel: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep the page of one channel open; never returns. `started` once it shows everything there is."""
        last, is_whole, is_open = "", False, False
        while True:
            try:
                async for event in self._events(channel, last):
                    last = event.id
                    if event.kind == "posted":
                        self._shown(event)
                    elif event.kind == "ready":
                        is_whole = is_whole and msgspec.json.decode(event.data, type=_Ready).resumed
                        if not is_whole:
                            await self._remember(channel)
                        is_whole = True
                        if not is_open:
                            task_status.started()
                        is_open = True
            except BROKEN:
                pass
            await anyio.sleep(AGAIN_S)

    async def _events(self, channel: str, last: str) -> AsyncIterator[events.Event]:
        headers = {"Last-Event-ID": last} if last else {}
        limit = aiohttp.ClientTimeout(total=None, sock_connect=SAY_TRY_S, sock_read=SILENCE_S)
        async with self._http.get(
            f"{self._address()}api/events",
            params={"channel": channel},
            headers=headers,
            timeout=limit,
            read_bufsize=BUFFER_BYTES,
        ) as answer:
            answer.raise_for_status()
            async for event in events.read(answer.content, last):
                yield event

    def _shown(self, event: events.Event) -> None:
        posted = msgspec.json.decode(event.data, type=_Posted)
        asked = tally.Asked(posted.channel, posted.reply_to, posted.character)
        post = tally.Post(posted.turn, posted.piece, posted.text)
        if self._tally.show(int(event.id), asked, post):
            self._first(asked)

    async def _remember(self, channel: str) -> list[tally.Asked]:
        """Read the history of a channel; what was first seen there."""
        found = msgspec.json.decode(await self._get("/api/history", {"channel": channel}), type=_History)
        seen = []
        for line in found.utterances:
            if line.character:
                turn, _, piece = line.id.rpartition("-")
                first = self._tally.remember(scoped(channel), tally.Post(turn, int(piece), line.text))
                if first is not None:
                    self._first(first)
                    seen.append(first)
        return seen

    async def reload(self, channels: Sequence[str]) -> None:
        """Load the pages anew: what a person does who thinks that something is missing."""
        for channel in channels:
            try:
                self.reloaded += await self._remember(channel)
            except BROKEN:
                return

    def _first(self, asked: tally.Asked) -> None:
        self.shown_at[asked] = time.monotonic()
        self._answered[asked].set()

    async def _get(self, path: str, query: dict[str, str]) -> bytes:
        limit = aiohttp.ClientTimeout(total=HISTORY_S)
        url = self._address().rstrip("/") + path
        async with self._http.get(url, params=query, timeout=limit) as answer:
            answer.raise_for_status()
            return await answer.read()


def scoped(channel: str) -> str:
    """The bridge's name of a console channel."""
    return f"console-{channel}"


def _asked(message: plan.Message) -> list[tally.Asked]:
    return [tally.Asked(scoped(message.channel), message.native, one) for one in message.to]
