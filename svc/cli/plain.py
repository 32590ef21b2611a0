"""What people and models wrote must not command the terminal of whoever reads it."""

from __future__ import annotations

from rich import control

KEPT = {ord("\t"), ord("\n")}
COMMANDS = {*range(0x20), 0x7F, *range(0x80, 0xA0)} - KEPT
"""Control characters; an escape sequence begins with one, and what is left of it is only odd."""


def guard() -> None:
    """From now on texts printed through rich lose them. rich itself drops five; styles are its own affair."""
    control._CONTROL_STRIP_TRANSLATE.update(dict.fromkeys(COMMANDS))
