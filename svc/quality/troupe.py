"""What the gate knows of the cast, worked out once from the packs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from svc import cache
from svc.quality import grammar, language, text
from svc.wire import characters

NEUTRAL_FILE = Path(__file__).with_name("neutral.txt")
PROPER = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")
"""A capitalised word inside a sentence."""
SCRIPT_WORDS = ("user", "human", "assistant", "system", "narrator", "you", "me")
"""Speakers of a transcript who are nobody's name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Troupe:
    """The cast, ready for the gate's questions. Plain data."""

    packs: Mapping[str, characters.Pack]
    names: Mapping[str, tuple[str, ...]]
    """Character id -> every name it goes by, lower case, longest first."""
    speakers: frozenset[str]
    """Lower-case names that may head a line of a script: the cast, who its canon mentions, `user:` …"""
    instructions: tuple[tuple[str, ...], ...]
    """Words of every sentence a character was instructed with; none of them may ever be said."""
    languages: Mapping[str, str]
    """Character id -> the language its lines are in."""
    lore: frozenset[str]
    """Lower-case words and numbers of everything the packs say: what is known without a source."""
    grammar: grammar.Grammar
    fingerprint: str
    """Changes with any pack."""


def assemble(packs: Sequence[characters.Pack]) -> Troupe:
    """Read the packs. The same packs always give the same troupe."""
    names = {pack.id: _names(pack) for pack in packs}
    told = [line for pack in packs for line in instructions(pack)]
    lore = [line for pack in packs for line in (pack.name, *pack.aliases, *pack.topics, *world(pack))]
    return Troupe(
        packs={pack.id: pack for pack in packs},
        names=names,
        speakers=frozenset(
            {name for own in names.values() for name in own}
            | {found.lower() for pack in packs for line in pack.canon for found in PROPER.findall(line)}
            | set(SCRIPT_WORDS)
        ),
        instructions=tuple(
            text.words(sentence) for line in told for sentence in text.sentences(text.plain(line))
        ),
        languages={pack.id: language.guess(text.plain(" ".join(spoken(pack)))) or "en" for pack in packs},
        lore=frozenset(word for line in lore for word in text.words(text.plain(line))),
        grammar=grammar.Grammar([*neutral(), *(line for pack in packs for line in world(pack))]),
        fingerprint=cache.digest(*packs),
    )


def neutral() -> tuple[str, ...]:
    """Lines of nobody in particular: an assistant."""
    lines = NEUTRAL_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def spoken(pack: characters.Pack) -> tuple[str, ...]:
    """Everything the pack has its character say."""
    return (*pack.lines, *(example.reply for example in pack.examples))


def world(pack: characters.Pack) -> tuple[str, ...]:
    """What the character says, is told and holds true."""
    return (
        *spoken(pack),
        *(example.user for example in pack.examples),
        *pack.canon,
        *pack.likes,
        *pack.dislikes,
    )


def instructions(pack: characters.Pack) -> tuple[str, ...]:
    """What the character is told to be. Canon is not part of it: facts may be said."""
    return (pack.summary, *pack.personality, *pack.voice, *pack.never)


def _names(pack: characters.Pack) -> tuple[str, ...]:
    names = {name.lower() for name in (pack.name, pack.name.split()[0], pack.id, *pack.aliases)}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))
