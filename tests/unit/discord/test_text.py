from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies

from svc.discord import graphemes, text


@pytest.mark.parametrize("mention", ["@everyone", "@here", "@EVERYONE", "@Here"])
def test_mass_mentions_ping_nobody(mention: str) -> None:
    shown = text.harmless(f"hey {mention}, {{you}}")
    assert mention not in shown
    assert shown.replace(text.ZERO_WIDTH_SPACE, "") == f"hey {mention}, {{you}}"


@hypothesis.given(strategies.text())
def test_everything_else_stays_and_twice_is_once(said: str) -> None:
    once = text.harmless(said)
    assert once.replace(text.ZERO_WIDTH_SPACE, "") == said.replace(text.ZERO_WIDTH_SPACE, "")
    assert text.harmless(once) == once


def test_a_cut_keeps_the_last_character_whole() -> None:
    assert text.cut("short", 10) == "short"
    assert text.cut("ab👍🏽cd", 3) == "ab"
    assert text.cut("ab👍🏽cd", 4) == "ab👍🏽"
    assert len(text.cut("a" + "\u0301" * 500, 400)) == 400


def test_borders_at_the_ends_are_always_borders() -> None:
    assert graphemes.border("é", 0) and graphemes.border("é", len("é"))
    assert graphemes.border("🇩🇪🇫🇷", 2) and not graphemes.border("🇩🇪🇫🇷", 3)
