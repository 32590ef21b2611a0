"""Search over the knowledge base."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.message import Utterance


class SearchRequest(Wire, frozen=True, kw_only=True):
    """`req.retriever.search`: passages that bear on `text`."""

    text: str
    character: str = ""
    guild: str = ""
    history: tuple[Utterance, ...] = ()
    """The last few lines, to resolve "he" and "that one"."""
    limit: Annotated[int, Meta(ge=1, le=20)] = 4


class Passage(Wire, frozen=True, kw_only=True):
    """A piece of knowledge. It is data, never instructions."""

    id: str
    """Content-addressed chunk id."""
    text: str
    title: str = ""
    section: str = ""
    source: str = ""
    """Where it came from: `knowledge/beer.md`, or a URL."""
    licence: str = ""
    score: float = 0.0
    """Relevance 0–1, higher is better (cosine similarity, not distance)."""


class Passages(Wire, frozen=True, kw_only=True):
    passages: tuple[Passage, ...] = ()
    """Best first; empty = nothing relevant, honestly."""
    index: str = ""
    """Version of embedder and knowledge base."""
    cached: bool = False
    degraded: tuple[str, ...] = ()
    query: str = ""
    """What was searched for after rewriting."""
