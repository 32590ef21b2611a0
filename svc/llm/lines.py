"""What the engine `instant` says: lines in character about any word, from `lines.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")
_lines: dict[str, list[str]] = tomllib.loads(FILE.read_text(encoding="utf-8"))

ANYBODY = tuple(_lines.pop("anybody"))
"""For characters somebody added."""
CAST = {character: tuple(said) for character, said in _lines.items()}
"""Character id -> its lines; `{word}` stands for a word of the message."""
