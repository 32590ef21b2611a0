"""Settings: one struct per service, read once from the environment (and `.env`), shown without secrets.

A field `ollama_url` is read from `QUAHOG_OLLAMA_URL`. A missing or bad value stops the process by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from svc import errors

PREFIX = "QUAHOG_"
DATA_DEFAULT = "~/.local/share/quahog"
SECRET = re.compile(r"(token|password|secret|credentials|key)$")
USERINFO = re.compile(r"(?<=://)[^/\s]+(?=@)")
QUOTED = re.compile(r"""^(['"])(.*)\1$""")
"""A value between two of the same quotes."""

S = TypeVar("S", bound=msgspec.Struct)


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What every process needs to find the others."""

    nats_url: str = "nats://127.0.0.1:4222"
    cache_url: str = "redis://127.0.0.1:6379/0"
    chroma_url: str = "http://127.0.0.1:8000"
    data: str = DATA_DEFAULT
    """Folder of everything that is kept."""
    characters: str = ""
    """Folder of character packs; "" = the ones that ship with Quahog."""
    knowledge: str = ""
    """Folder of knowledge; "" = the starter knowledge that ships with Quahog."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def data_path(self) -> Path:
        return Path(self.data).expanduser()

    def characters_path(self) -> Path:
        return Path(self.characters).expanduser() if self.characters else shipped("characters")

    def knowledge_path(self) -> Path:
        return Path(self.knowledge).expanduser() if self.knowledge else shipped("knowledge")


def shipped(name: str) -> Path:
    """A folder or file that ships with the project: beside `svc/` in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    for candidate in (package.parent / name, package / "_shipped" / name):
        if candidate.exists():
            return candidate
    raise errors.ConfigError(f"{name!r} is missing from this installation: reinstall quahog")


def dotenv(path: Path) -> dict[str, str]:
    """The `KEY=value` lines of a `.env` file; quotes are stripped, `#` lines and blanks skipped.

    Raises ConfigError with file and line for anything else.
    """
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise errors.ConfigError(f"{path} is not UTF-8: save it as UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        key, separator, value = text.partition("=")
        if not separator or not key.strip().isidentifier():
            raise errors.ConfigError(f"{path}:{number}: expected KEY=value")
        found[key.strip()] = QUOTED.sub(r"\2", value.strip())
    return found


def read(kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Build `kind` from the environment. Empty values count as unset.

    Raises ConfigError naming the variable that is missing or wrong.
    """
    source = os.environ if environ is None else environ
    raw: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        name = PREFIX + field.name.upper()
        if value := source.get(name, ""):
            raw[field.name] = value
        elif field.required:
            raise errors.ConfigError(f"{name} is not set: it is required by {kind.__module__}")
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        field_name = str(error).rpartition("$.")[2].rstrip("`")
        choices = _choices(kind, field_name)
        remedy = f"; choose from {', '.join(choices)}" if choices else ""
        raise errors.ConfigError(f"{PREFIX}{field_name.upper()} is wrong: {error}{remedy}") from None


def _choices(kind: type[msgspec.Struct], name: str) -> list[str]:
    """What a field with fixed values may be; empty for any other."""
    described = msgspec.inspect.type_info(kind)
    fields = described.fields if isinstance(described, msgspec.inspect.StructType) else ()
    found = next((field.type for field in fields if field.name == name), None)
    return [str(value) for value in found.values] if isinstance(found, msgspec.inspect.LiteralType) else []


def shown(settings: msgspec.Struct) -> dict[str, Any]:
    """The effective settings with every secret replaced by `set` or `unset`, passwords in URLs hidden."""
    visible: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(settings).items():
        if SECRET.search(name):
            visible[name] = "set" if value else "unset"
        elif isinstance(value, str):
            visible[name] = USERINFO.sub("…", value)
        elif isinstance(value, int | float | bool) or value is None:
            visible[name] = value
        else:
            visible[name] = str(value)
    return visible
