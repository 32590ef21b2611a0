"""A replay to be shown."""

from __future__ import annotations

import msgspec

from svc.router import replay
from svc.wire import base, characters, llm, quality, turn


def replayed(*, same: bool, stopped: str = "") -> replay.Replay:
    """Of one generation; without `same` it would be asked at another temperature, about something else."""
    ended = turn.Ended(
        turn="t1",
        outcome="answered",
        character="peter",
        surface="console",
        channel="console-main",
        text="Beer!",
        verdict=quality.Verdict(accepted=True, score=80.0, threshold=60.0),
    )
    before = _request(0.9, "What is your favorite beer?")
    now = before if same else _request(0.4, "What is your favorite wine?")
    step = replay.Step(
        service="llm",
        method="generate",
        n="1",
        same=same,
        live=False,
        before=before,
        now=now,
        reply_before=msgspec.Raw(b"{}"),
        reply_now=msgspec.Raw(b"{}"),
    )
    identical = same and not stopped
    return replay.Replay(
        turn="t1",
        identical=identical,
        before=ended,
        now=None if stopped else ended,
        stopped=stopped,
        steps=(step,),
    )


def _request(temperature: float, text: str) -> msgspec.Raw:
    request = llm.GenerateRequest(
        character="peter",
        messages=(llm.ChatMessage(role="user", content=text),),
        sampling=characters.Sampling(temperature=temperature),
    )
    return msgspec.Raw(base.encode(request))
