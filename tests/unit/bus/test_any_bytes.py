"""Whatever stands under a stored subject, the process that takes it goes on with the next message."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from svc.bus import broker, connection, dead, job, memory, middleware, service, streams, subjects
from svc.wire import base, characters, envelope, llm, message, quality, retriever, tuning, turn
from tests.unit import serving

pytestmark = pytest.mark.anyio

KINDS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "turn.user.peter": ("router-turns", turn.Turn),
    "turn.organic.peter": ("router-plans", turn.Turn),
    "turn.idle.peter": ("router-plans", turn.Turn),
    "say.console.peter": ("console", message.Say),
    "say.discord.peter": ("discord-peter", message.Say),
    "evt.message.heard": ("coordinator-heard", message.Heard),
    "evt.message.posted": ("coordinator-heard", message.Posted),
    "evt.turn.ended": ("tuning-outcomes", turn.Ended),
}
ASKED: dict[str, type[msgspec.Struct]] = {
    "req.tuning.advise": tuning.AdviseRequest,
    "req.tuning.report": tuning.ReportRequest,
    "req.tuning.list": characters.ListRequest,
    "req.tuning.generate": llm.GenerateRequest,
    "req.tuning.assess": quality.AssessRequest,
    "req.tuning.search": retriever.SearchRequest,
}
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats(allow_nan=False)
    | strategies.text(strategies.characters(exclude_categories=["Cs"])),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(strategies.sampled_from(sorted(
        {name for kind in (turn.Turn, turn.Ended, message.Heard, tuning.AdviseRequest, envelope.Reply)
         for name in kind.__struct_fields__})), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip
BODY = strategies.binary(max_size=300) | JSON.map(base.encode)
HEADER = strategies.dictionaries(
    strategies.sampled_from(
        ["Quahog-Deadline-Ms", "Quahog-Repeated", "Quahog-First-Sequence", "Quahog-First-At", "traceparent"]
    ),
    strategies.text(strategies.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
    | strategies.integers().map(str),
    max_size=3,
)
PREFIX = strategies.sampled_from([*KINDS, *ASKED])
REST = strategies.sampled_from(
    ["t1.0", "t1", "t1.0.more", "*.0", "t1.>", "é.0", "a b.0", ".", "x" * 70 + ".0"]
)


@contextlib.asynccontextmanager
async def listening(bus: connection.Connection, done: list[str]) -> AsyncIterator[None]:
    """Everything is listened to and answered; who handles a message notes its subject."""

    async def take(_body: object, job_: job.Job) -> None:
        done.append(str(job_.subject))

    async def answer(_request: object, job_: job.Job) -> tuning.Advice:
        done.append(str(job_.subject))
        return tuning.Advice()

    listens = tuple(
        service.Listen(consumer, prefix, kind, take) for prefix, (consumer, kind) in KINDS.items()
    )
    answers = tuple(
        service.Answer(prefix.split(".")[2], kind, tuning.Advice, answer) for prefix, kind in ASKED.items()
    )
    async with serving.serving(bus, service.Service("tuning", answers=answers, listens=listens)):
        yield


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(strategies.lists(strategies.tuples(PREFIX, REST, BODY, HEADER), min_size=1, max_size=4))
async def test_any_bytes_under_any_subject_kill_nobody(
    sent: list[tuple[str, str, bytes, dict[str, str]]],
) -> None:
    source = memory.Memory()
    bus, done = connection.Connection(source, "test"), list[str]()
    good = {"req.tuning.list.good.0"} | {f"{prefix}.good.0" for prefix in KINDS}
    async with listening(bus, done):
        for prefix, rest, data, headers in sent:
            await source.append(f"{prefix}.{rest}", data, headers, expect=None)
        for subject in good:
            example = b"{}" if subject.startswith("req.") else EXAMPLES[subject.rpartition(".good")[0]]
            await source.append(subject, example, {}, expect=None)
        with anyio.fail_after(5):
            while not good <= set(done):
                await anyio.sleep(0.001)
    handled = {subject for subject in done if subject not in good}
    letters = {letter.dead.subject async for letter in dead.letters(bus)}
    for prefix, rest, _, _ in sent:
        subject = f"{prefix}.{rest}"
        refused = prefix in ASKED and await source.last(subjects.reply_of(subject)) is not None
        assert subject in handled | letters or refused


AUTHOR = message.Author(id="1")
TURN = turn.Turn(
    id="good", origin="user", character="peter", surface="console", channel="c", message="m", text="",
    author=AUTHOR,
)  # fmt: skip
SAY = message.Say(turn="good", surface="console", channel="c", character="peter", text="x")
EXAMPLES = {
    "turn.user.peter": base.encode(TURN),
    "turn.organic.peter": base.encode(TURN),
    "turn.idle.peter": base.encode(TURN),
    "say.console.peter": base.encode(SAY),
    "say.discord.peter": base.encode(SAY),
    "evt.message.heard": base.encode(
        message.Heard(message="good", native="1", surface="console", channel="c", author=AUTHOR, text="")
    ),
    "evt.message.posted": base.encode(
        message.Posted(turn="good", piece=0, surface="console", channel="c", character="peter", text="")
    ),
    "evt.turn.ended": base.encode(
        turn.Ended(turn="good", outcome="answered", character="peter", surface="console", channel="c")
    ),
}


def test_every_stream_that_is_worked_off_is_tried() -> None:
    tried = {streams.stream_of(f"{prefix}.t.0") for prefix in (*KINDS, *ASKED)}
    worked = {one.stream for one in streams.CONSUMERS if not one.stream.startswith("WORK_")}
    assert worked <= tried


async def test_a_mistake_of_ours_around_a_handler_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the process: what is around the handlers is ours, and may be wrong one day."""
    source = memory.Memory()
    bus, done = connection.Connection(source, "test"), list[str]()
    chain_for_listen = middleware.chain_for_listen

    def broken(*args: Any) -> middleware.Work[None]:
        chain = chain_for_listen(*args)

        async def work(delivery: broker.Delivery, job_: job.Job) -> None:
            if job_.subject.turn == "bad":
                raise RuntimeError("our mistake")
            await chain(delivery, job_)

        return work

    monkeypatch.setattr(middleware, "chain_for_listen", broken)
    async with listening(bus, done):
        for turn_id in ("bad", "good"):
            await source.append(f"say.console.peter.{turn_id}.0", EXAMPLES["say.console.peter"], {})
        with anyio.fail_after(5):
            while "say.console.peter.good.0" not in done or not await dead.count(source):
                await anyio.sleep(0.001)
    assert [letter.dead.reason async for letter in dead.letters(bus)] == ["RuntimeError: our mistake"]
