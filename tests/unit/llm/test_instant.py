"""The engine without a model: what it says, and the log that proves what was paid for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from svc.llm import engine, instant, lines
from svc.wire import characters, llm

pytestmark = pytest.mark.anyio


def _ask(said: str, character: str = "peter", *, guidance: str = "", n: int = 1) -> engine.Ask:
    return engine.Ask(
        messages=(
            llm.ChatMessage(role="system", content=guidance or "persona"),
            llm.ChatMessage(role="user", content=said),
        ),
        sampling=characters.Sampling(candidates=n),
        character=character,
        turn="t1",
        method="generate",
        n="2",
    )


def _deaf(index: int, text: str) -> None:
    """Nobody listens."""


async def _texts(ask: engine.Ask) -> list[str]:
    made = await instant.Instant(context=1000).generate(ask, _deaf)
    return [one.text for one in made.drafts]


@pytest.mark.parametrize("character", [*lines.CAST, "somebody-new"])
async def test_it_speaks_about_what_it_was_asked(character: str) -> None:
    ask = _ask("What do you think about television?", character, n=8)
    texts = await _texts(ask)
    assert all("television" in text.lower() for text in texts)
    assert texts == await _texts(ask)
    assert len(set(texts)) == len(lines.CAST.get(character, lines.ANYBODY))


async def test_another_guidance_gives_another_reply() -> None:
    replies = {(await _texts(_ask("Beer?", guidance=f"try {number}")))[0] for number in range(20)}
    assert len(replies) > 2


async def test_words_in_braces_are_only_words() -> None:
    (text,) = await _texts(_ask("{word} {0}"))
    assert "word" in text.lower()


async def test_one_line_is_logged_per_generation(tmp_path: Path) -> None:
    log = tmp_path / "paid.jsonl"
    made = instant.Instant(context=1000, log=log)
    first = await made.generate(_ask("Beer?", n=3), _deaf)
    await made.generate(_ask("Wine?"), _deaf)
    paid = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [(line["turn"], line["method"], line["n"]) for line in paid] == [("t1", "generate", "2")] * 2
    assert paid[0]["text"] == first.drafts[0].text
    assert paid[0]["at"] <= paid[1]["at"]
