"""One reply, one speaker: no name before the text, no lines for others.

A title is no speaker: `"Brian: A Life" is my best work` is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from svc.quality.case import Case

HEAD = re.compile(
    r"(?:^|\n|(?<=[.!?\"')*\]])\s)[ \t]*[*_\[<(\"]{0,3}(?P<name>[^\W\d_][\w .'-]{0,30}?)[*_\])>]{0,3}"
    r"(?:\s+(?:says|said|replies|answers))?[*_]{0,2}\s?:[*_]{0,2}(?=\s|\"|$)(?P<rest>[^\n]{0,60})"
)
"""A name and a colon where a line or a sentence begins."""
TITLE = re.compile(
    r"\s*(?:An?|The)(?:\s+[A-Z][\w'-]*){1,4}(?:$|[\"'?!.,;)*]|\s+(?:is|was|by|will|has|isn't|wasn't)\b)"
)
"""What follows the colon of a title: an article and capitalised words, then the end or a verb."""


def prefixed(case: Case) -> str:
    """The character's own name before its words."""
    found = next(_heads(case.text, case.scene.names), "")
    return f"starts a line with its own name ({found})" if found else ""


def others(case: Case) -> str:
    """Lines for somebody else."""
    found = next(_heads(case.text, case.scene.people), "")
    return f"speaks for {found}" if found else ""


def _heads(said: str, names: Iterable[str]) -> Iterator[str]:
    wanted = set(names)
    for match in HEAD.finditer(said):
        name = match["name"].strip()
        if name.lower() in wanted and not TITLE.match(match["rest"]):
            yield name
