"""A small complete pack for tests: the minimal one of docs/characters.md, so the page can't go stale."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "characters.md"


def minimal() -> str:
    """The TOML text of the page's complete minimal example; its id is `nell`."""
    found = re.search(r"```toml\n(id = .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def write(folder: Path, text: str, name: str = "nell") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.toml"
    file.write_text(text, "utf-8")
    return file
