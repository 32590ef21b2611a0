"""What a pack must obey beyond its types: known fields, bounds, and a few rules of its own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from svc.bus import subjects
from svc.characters import place
from svc.wire import characters

TEXT_CHARS_MAX = 300
"""Longest single text, where `CHARS_MAX` says nothing else: two spoken sentences."""
CHARS_MAX = {
    "name": 32,  # Discord's longest display name
    "emoji": 16,
    "aliases": 32,
    "summary": 400,  # always whole in the system prompt, which has about 1,100
    "topics": 40,
    "markers": 40,
    "openers": 40,
}
"""Field -> the most characters of each text in it."""
ITEMS_MAX = 60
ITEMS = {
    "personality": (1, 12),
    "voice": (1, 12),
    "never": (0, 12),
    "aliases": (0, 10),
    "examples": (4, 40),  # four are shown to the model
    "lines": (8, 500),  # fewer teach the authenticity check nothing
    "fallbacks.failed": (1, 20),
    "fallbacks.busy": (1, 20),
    "fallbacks.unknown": (1, 20),
}
"""Field -> (fewest, most) entries; elsewhere 0 to `ITEMS_MAX`."""
COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Mistake(Exception):
    """Something is wrong at `path`."""

    def __init__(self, path: place.Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def unknown(kind: msgspec.inspect.Type, value: object, path: place.Path) -> Iterator[Mistake]:
    """Keys that no struct on the way down has."""
    if isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        for key, item in value.items():
            if key in fields:
                yield from unknown(fields[key], item, (*path, key))
                continue
            known = [name for name in fields if name != "version"]
            close = difflib.get_close_matches(key, known, 1)
            advice = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            yield Mistake((*path, key), f"unknown field {key!r}: {advice}")
    elif isinstance(kind, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown(kind.item_type, item, (*path, index))


def limits(raw: dict[str, Any]) -> Iterator[Mistake]:
    """Of a raw pack: counts, lengths, empty texts and repeated entries."""
    for name, (fewest, most) in ITEMS.items():
        if fewest and name.partition(".")[0] not in raw:
            yield Mistake((), f"missing field {name!r}: it needs {fewest} to {most} entries")
    for path, value in _walk(raw, ()):
        name = place.shown(path)
        if isinstance(value, list | dict):
            fewest, most = ITEMS.get(name, (0, ITEMS_MAX))
            if not fewest <= len(value) <= most:
                yield Mistake(path, f"{name} has {len(value)} entries: it needs {fewest} to {most}")
            for index, item in enumerate(value if isinstance(value, list) else ()):
                if item in value[:index]:
                    yield Mistake((*path, index), f"{name}[{index}] is there twice: remove one")
        elif isinstance(value, str):
            most = CHARS_MAX.get(str(path[0]), TEXT_CHARS_MAX)
            if not 1 <= len(value) <= most:
                yield Mistake(path, f"{name} has {len(value)} characters: it needs 1 to {most}")


def _walk(value: object, path: place.Path) -> Iterator[tuple[place.Path, object]]:
    if path:
        yield path, value
    entries: Iterable[tuple[Any, object]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, item in entries:
        yield from _walk(item, (*path, key))


def own(pack: characters.Pack, stem: str) -> Iterator[Mistake]:
    """What the types can't say."""
    if pack.id != stem:
        yield Mistake(("id",), f"id is {pack.id!r} but the file is called {stem!r}: they must be the same")
    for path, key in ((("id",), pack.id), *((("relationships", key), key) for key in pack.relationships)):
        if not subjects.TOKEN.fullmatch(key):
            yield Mistake(path, f"{key!r} can't be an id: use 1 to 64 of A-Z a-z 0-9 _ -")
    if not COLOR.fullmatch(pack.color):
        yield Mistake(("color",), f"color is {pack.color!r}: write it as #rrggbb")
    for topic in pack.topics:
        if topic != topic.lower() or not topic.isprintable() or not 1 <= len(topic) <= CHARS_MAX["topics"]:
            message = f"topics are lower case and 1 to {CHARS_MAX['topics']} characters: not {topic[:50]!r}"
            yield Mistake(("topics", topic), message)
    for index, marker in enumerate(pack.markers):
        if marker != marker.lower():
            yield Mistake(("markers", index), f"markers are lower case: write {marker.lower()!r}")


def called(pack: characters.Pack) -> Iterator[tuple[place.Path, str]]:
    """Everything people may call it by; no two characters share one."""
    yield ("id",), pack.id
    yield ("name",), pack.name
    for index, alias in enumerate(pack.aliases):
        yield ("aliases", index), alias
