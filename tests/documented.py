"""The commands shown in README.md and docs/: what a reader would type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SHELL = (">", "|", "&&")
"""What follows is no word of the command any more."""
BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[tuple[str, str]]:
    """(page, command line) of every line in a shell block that calls `program`."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                words = words[: next((at for at, word in enumerate(words) if word in SHELL), len(words))]
                if words and Path(words[0]).name == program:
                    found.append((page.name, shlex.join(words)))
    return found
