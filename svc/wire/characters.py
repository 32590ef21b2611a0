"""Character packs as they travel, and the prompt made from one."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from svc.wire.base import Wire

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Sampling(Wire, frozen=True, kw_only=True):
    """How the model draws. None = the engine's own default."""

    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.5, le=2.0)] | None = None
    max_tokens: Annotated[int, Meta(ge=8, le=1024)] | None = None
    candidates: Annotated[int, Meta(ge=1, le=8)] | None = None
    """Drafts per attempt (best of n), where the engine batches cheaply."""
    seed: int | None = None


class Exchange(Wire, frozen=True, kw_only=True):
    """An example: somebody says `user`, the character answers `reply`."""

    user: str
    reply: str


class Fallbacks(Wire, frozen=True, kw_only=True):
    """Honest in-character lines for when there is no answer; each list has at least one."""

    failed: tuple[str, ...]
    """Every attempt failed."""
    busy: tuple[str, ...]
    """Too much going on; ask again in a minute."""
    unknown: tuple[str, ...]
    """Nothing known about that."""


class Pack(Wire, frozen=True, kw_only=True):
    """One character, whole, as written in `characters/<id>.toml`."""

    id: str
    name: str
    summary: str
    """Two or three sentences in the second person: who you are."""
    version: str = ""
    """Short hash of the pack's content; part of every cache key that depends on it."""
    emoji: str = ""
    color: str = "#888888"
    aliases: tuple[str, ...] = ()
    """Other names people use: "Petey", "the fat man"."""
    personality: tuple[str, ...] = ()
    voice: tuple[str, ...] = ()
    """How it speaks, as rules: sentence length, vocabulary, habits."""
    never: tuple[str, ...] = ()
    """What it would never say or do."""
    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()
    topics: dict[str, Share] = {}
    """Topic -> how strongly it draws the character (0–1)."""
    markers: tuple[str, ...] = ()
    """Words and turns of phrase typical of it, lower case."""
    examples: tuple[Exchange, ...] = ()
    lines: tuple[str, ...] = ()
    """Things it would say, without a question before them; what authenticity is learned from."""
    openers: tuple[str, ...] = ()
    """First words a small model may be given to start a reply in character."""
    canon: tuple[str, ...] = ()
    """Facts it holds true about itself and its world."""
    relationships: dict[str, str] = {}
    """Character id -> how it feels about them."""
    talkativeness: Share = 0.5
    sampling: Sampling = Sampling()
    fallbacks: Fallbacks


class PromptRequest(Wire, frozen=True, kw_only=True):
    """`req.characters.prompt`: what is needed to speak as this character."""

    character: str
    guild: str = ""
    topic: str = ""
    """The user's words: picks the examples that fit."""


class Prompt(Wire, frozen=True, kw_only=True):
    """The pack boiled down for one turn."""

    character: str
    name: str
    version: str
    system: str
    """The system prompt; never cut by any budget."""
    examples: tuple[Exchange, ...] = ()
    openers: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    """Strings that end a draft: every other speaker's name at the start of a line."""
    sampling: Sampling = Sampling()
    reminders: tuple[str, ...] = ()
    """The character's rules of speech, for a late attempt that keeps missing its voice."""
    fallbacks: Fallbacks


class ListRequest(Wire, frozen=True, kw_only=True):
    """`req.characters.list`: the whole cast."""


class Cast(Wire, frozen=True, kw_only=True):
    packs: tuple[Pack, ...]
