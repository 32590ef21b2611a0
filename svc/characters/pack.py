"""Character packs: TOML files written by people, read strictly.

The wire tolerates unknown fields; a file does not, because there an unknown field is a typing mistake.
Every mistake is a ConfigError of one line: `characters/peter.toml:12: …`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import msgspec

from svc import cache, errors
from svc.characters import place, rules
from svc.wire import characters

FILE_BYTES_MAX = 32 * 1024
"""Ours have 17 KiB."""
PACKS_MAX = 12
"""All packs travel in one `list` answer: twelve of the biggest still fit into one message of the bus."""
VERSION_CHARS = 12


def load(folder: Path) -> dict[str, characters.Pack]:
    """Every pack of the folder, by id, in the order of their ids. Blocks on file reads; may run again.

    Raises ConfigError naming file and line.
    """
    if not folder.is_dir():
        raise errors.ConfigError(f"{folder} is no folder: QUAHOG_CHARACTERS must be one with character packs")
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise errors.ConfigError(f"{folder} has no character packs: put a <id>.toml there")
    if len(files) > PACKS_MAX:
        raise errors.ConfigError(f"{folder} has {len(files)} character packs: {PACKS_MAX} is the most")
    packs: dict[str, characters.Pack] = {}
    owners: dict[str, str] = {}
    for file in files:
        pack = read(file)
        for path, called in rules.called(pack):
            owner = owners.setdefault(called.casefold(), pack.id)
            if owner != pack.id:
                message = f"{called!r} is already what {owner} is called: choose another"
                raise _located(file, file.read_text("utf-8-sig"), rules.Mistake(path, message))
        packs[pack.id] = pack
    return packs


def read(file: Path, name: str = "") -> characters.Pack:
    """One pack, checked, with its version. Raises ConfigError naming file and line.

    The file is called as the character's id, unless `name` says whose pack it is.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise errors.ConfigError(f"{_shown(file)} can't be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise errors.ConfigError(f"{_shown(file)} is too big: {FILE_BYTES_MAX // 1024} KiB is the most")
    try:
        text = data.decode("utf-8-sig")
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise errors.ConfigError(f"{_shown(file)}:{number}: not UTF-8: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _broken(file, text, str(error)) from None
    except (RecursionError, ValueError):  # what `int` says to a number of 5,000 digits
        raise errors.ConfigError(f"{_shown(file)} is no pack: lists too deep or a number too long") from None
    try:
        return _checked(raw, name or file.stem)
    except rules.Mistake as mistake:
        raise _located(file, text, mistake) from None


def _checked(raw: dict[str, Any], stem: str) -> characters.Pack:
    if "version" in raw:
        raise rules.Mistake(("version",), "version is computed from the content: remove this line")
    for mistake in rules.unknown(msgspec.inspect.type_info(characters.Pack), raw, ()):
        raise mistake
    _converted(raw)
    raw = {field: _tidy(value, (field,)) for field, value in raw.items()}
    pack = _converted(raw)
    for mistake in (*rules.limits(raw), *rules.own(pack, stem)):
        raise mistake
    return msgspec.structs.replace(pack, version=cache.digest(pack)[:VERSION_CHARS])


def _tidy(value: object, path: place.Path) -> object:
    """The value with runs of white space made one space: a text is one line, however it is wrapped."""
    if isinstance(value, str):
        text = " ".join(value.split())
        if any(unicodedata.category(char) == "Cc" for char in text):
            raise rules.Mistake(path, f"{place.shown(path)} has a control character: remove it")
        return text
    if isinstance(value, list):
        return [_tidy(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _tidy(item, (*path, key)) for key, item in value.items()}
    return value


def _converted(raw: dict[str, Any]) -> characters.Pack:
    try:
        return msgspec.convert(raw, characters.Pack)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        path = _path(where.strip("`"))
        if where.endswith("[...]`"):  # msgspec does not say which entry of a table it is: try them singly
            field = str(path[0])
            for key, value in raw[field].items():
                try:
                    msgspec.convert({**raw, field: {key: value}}, characters.Pack)
                except msgspec.ValidationError:
                    path = (field, key)
                    break
        named = f"{place.shown(path)}: " if path else ""
        raise rules.Mistake(path, named + message[0].lower() + message[1:]) from None


def _path(where: str) -> place.Path:
    """`$.examples[2].reply` as msgspec writes it; an entry of a table, `[...]`, is left out."""
    parts = re.findall(r"\.(\w+)|\[(\d+)\]", where)
    return tuple(name or int(index) for name, index in parts)


def _located(file: Path, text: str, mistake: rules.Mistake) -> errors.ConfigError:
    return errors.ConfigError(f"{_shown(file)}:{place.line(text, mistake.path)}: {mistake}")


def _broken(file: Path, text: str, message: str) -> errors.ConfigError:
    """`tomllib` puts the place at the end of its message; we put it where editors look for it."""
    match = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
    number = match[2] if match else text.rstrip().count("\n") + 1
    said = match[1] if match else message
    return errors.ConfigError(f"{_shown(file)}:{number}: {said[0].lower()}{said[1:]}")


def _shown(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
