"""Hard stops: what may never be posted, whatever the score. Run first; the first found ends the analysis.

Every predicate takes the case and gives a short reason ("pings people (@everyone)"), or "" when it has no
objection. Order is from what is surest and cheapest to what needs a model of language.
"""

from __future__ import annotations

from collections.abc import Callable

from svc.quality import assistant, control, language, repetition, speaker
from svc.quality.case import Case, Meaning

Predicate = Callable[[Case], str]

CHARS_MAX = 4000
"""Longer is no chat message (Discord takes 2,000 at once), and no pattern below ever meets a longer text."""


def empty(case: Case) -> str:
    """No word in it."""
    return "" if any(character.isalpha() for character in case.text) else "says nothing"


def endless(case: Case) -> str:
    """Longer than anything one says."""
    return f"is longer than {CHARS_MAX} characters" if len(case.raw) > CHARS_MAX else ""


def foreign(case: Case) -> str:
    """Not the language the character speaks."""
    found, own = language.guess(case.text), case.scene.cast.languages[case.scene.pack.id]
    return f"is not in the character's language ({found} instead of {own})" if found not in ("", own) else ""


def salad(case: Case) -> str:
    """Words without sentences. Only English is judged: the word classes are."""
    if case.scene.cast.languages[case.scene.pack.id] != "en":
        return ""
    sound = case.scene.cast.grammar
    return "makes no sentences" if sound.gibberish(case.text) or sound.salad(case.text) else ""


TEXT: tuple[tuple[str, Predicate], ...] = (
    ("too_long", endless),
    ("empty", empty),
    ("control_text", control.marks),
    ("mass_mention", control.mentions),
    ("repetition", repetition.loops),
    ("assistant", assistant.speaks),
    ("prompt_leak", control.leaked),
    ("canary", control.canary),
    ("self_prefix", speaker.prefixed),
    ("speaks_for_others", speaker.others),
    ("echo", repetition.echoes),
    ("wrong_language", foreign),
    ("word_salad", salad),
)
"""Need nothing but the text."""

MEANING: tuple[tuple[str, Callable[[Case, Meaning], str]], ...] = (
    ("echo", repetition.paraphrases),
    ("said_before", repetition.again),
)
"""Need the vectors."""


def on_text(case: Case) -> tuple[str, str] | None:
    """(name, reason) of the first stop the text alone gives, or None."""
    return next(((name, reason) for name, stop in TEXT if (reason := stop(case))), None)


def on_meaning(case: Case, meaning: Meaning) -> tuple[str, str] | None:
    """(name, reason) of the first stop its meaning gives, or None."""
    return next(((name, reason) for name, stop in MEANING if (reason := stop(case, meaning))), None)
