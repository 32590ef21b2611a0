"""From what a model wrote to a candidate: thoughts and control tokens go, the words stay.

Nothing is judged here; that is the gate's part. A draft that is empty after cleaning stays empty, and the
gate refuses it.
"""

from __future__ import annotations

import re

from svc import control

THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.IGNORECASE | re.DOTALL)
THOUGHT_END = re.compile(r"^.*</(?:think|thinking|thought|reasoning)>", re.IGNORECASE | re.DOTALL)
THOUGHT_START = re.compile(r"<(?:think|thinking|thought|reasoning)>.*$", re.IGNORECASE | re.DOTALL)
QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"), ("«", "»"))
NEEDS_SPACE = re.compile(r"[,.!?…;:)\"”]$")


def clean(text: str) -> str:
    """`text` as it may be judged. Pure; cleaning twice changes nothing."""
    while True:
        cleaned = _once(text)
        if cleaned == text:
            return text
        text = cleaned


def _once(text: str) -> str:
    text = THOUGHT.sub("", text)
    # A template may have opened the thought in the prompt, so its end comes alone; and one cut by the token
    # limit has no end. What is left of the first, and right of the second, is thinking.
    text = THOUGHT_END.sub("", text)
    text = THOUGHT_START.sub("", text)
    text = control.strip(text).strip()
    for left, right in QUOTES:
        inside = text[1:-1]
        quoted = len(text) > 1 and text[0] == left and text[-1] == right
        if quoted and left not in inside and right not in inside:
            return inside.strip()
    return text


def joined(opener: str, text: str) -> str:
    """The opener and what the model continued it with.

    Models that were not made to continue a reply start it again: then the opener is not doubled. Servers
    that trim the first piece lose the space after a comma: it is put back.
    """
    opener = opener.rstrip()
    if not opener or text.lstrip().casefold().startswith(opener.casefold()):
        return text.lstrip() if opener else text
    space = " " if NEEDS_SPACE.search(opener) and text[:1].isalnum() else ""
    return f"{opener}{space}{text}"
