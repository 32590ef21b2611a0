"""A gate over a small cast of the tests' own, built once, and ways to ask it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from svc import embedding
from svc.quality import case, gate, settings, troupe
from svc.wire import characters, message, quality

CAST_FILE = Path(__file__).with_name("cast.toml")


@pytest.fixture(scope="session")
def packs() -> tuple[characters.Pack, ...]:
    with CAST_FILE.open("rb") as opened:
        return msgspec.convert(tomllib.load(opened), characters.Cast).packs


@pytest.fixture(scope="session")
def cast(packs: tuple[characters.Pack, ...]) -> troupe.Troupe:
    return troupe.assemble(packs)


@pytest.fixture(scope="session")
def embedder() -> embedding.Embedder:
    return Remembering(embedding.load(threads=2))


class Remembering:
    """The real embedder, asked once for each text of the whole session."""

    def __init__(self, inner: embedding.Embedder) -> None:
        self.name = inner.name
        self.dimensions = inner.dimensions
        self._inner = inner
        self._known: dict[str, embedding.Vectors] = {}

    def embed(self, texts: Sequence[str]) -> embedding.Vectors:
        if missing := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known.update(zip(missing, self._inner.embed(missing), strict=True))
        return np.stack([self._known[text] for text in texts])


@pytest.fixture(scope="session")
def keeper(packs: tuple[characters.Pack, ...], embedder: embedding.Embedder) -> gate.Gate:
    return gate.build(packs, embedder, settings.Settings())


def line(text: str, character: str = "", name: str = "Ann") -> message.Utterance:
    author = message.Author(id=character or "u1", name=name, bot=bool(character))
    return message.Utterance(id=text[:8], author=author, text=text, character=character)


def request(
    reply: str,
    user: str = "Tell me about your day, will you?",
    character: str = "peter",
    history: tuple[message.Utterance, ...] = (),
    heard: int = 0,
) -> quality.AssessRequest:
    return quality.AssessRequest(
        character=character, replies=(reply,), user=user, author="Ann", history=history, heard=heard
    )


def scene(cast: troupe.Troupe, asked: quality.AssessRequest) -> case.Case:
    return case.Case(case.Scene(asked, cast), asked.replies[0])
