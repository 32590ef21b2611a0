"""What is left of a draft, and what control tokens in a prompt become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import control
from svc.llm import draft

PARTS = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<|im_end|>",
            "<|im_",
            "end|>",
            '"',
            "“",
            "”",
            "beer",
            " ",
            "\n",
            "</s>",
            "{x}",
        ]
    ),
    max_size=10,
).map("".join)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Holy crap, beer!", "Holy crap, beer!"),
        ("  Holy crap!\n", "Holy crap!"),
        ("<think>He asks about beer.</think>Beer!", "Beer!"),
        ("He asks about beer.\n</think>\n\nBeer!", "Beer!"),
        ("Beer! <think>Should I go on? The user", "Beer!"),
        ("<THINK>a</THINK>Beer<think>b</think>!", "Beer!"),
        ("<think>only that", ""),
        ("Beer!<|im_end|>\n<|im_start|>", "Beer!"),
        ("Beer!</s>", "Beer!"),
        ("Beer<end_of_turn>", "Beer"),
        ("<|im<|im_end|>_end|>Beer", "Beer"),
        ('"Beer is great."', "Beer is great."),
        ("“Beer is great.”", "Beer is great."),
        ('"Beer," he said, "is great."', '"Beer," he said, "is great."'),
        ('"Beer', '"Beer'),
        ('"', '"'),
        ("Peter: Beer {braces} %s", "Peter: Beer {braces} %s"),
        ("I <3 beer and x < y > z", "I <3 beer and x < y > z"),
        ("", ""),
    ],
)
def test_cleaning(raw: str, clean: str) -> None:
    assert draft.clean(raw) == clean


@given(raw=PARTS)
def test_a_clean_draft_stays_as_it_is(raw: str) -> None:
    clean = draft.clean(raw)
    assert draft.clean(clean) == clean
    assert not control.TOKENS.search(clean)
    assert "<think>" not in clean
    assert "</think>" not in clean


@pytest.mark.parametrize(
    ("opener", "text", "whole"),
    [
        ("Holy crap,", " beer!", "Holy crap, beer!"),
        ("Holy crap,", "beer!", "Holy crap, beer!"),
        ("Holy crap, ", "beer!", "Holy crap, beer!"),
        ("Giggit", "y!", "Giggity!"),
        ("Holy crap,", "Holy crap, beer!", "Holy crap, beer!"),
        ("Holy crap", ", beer!", "Holy crap, beer!"),
        ("", " beer!", " beer!"),
    ],
)
def test_an_opener_and_its_continuation(opener: str, text: str, whole: str) -> None:
    assert draft.joined(opener, text) == whole


def test_a_token_inside_another_is_defused_too() -> None:
    assert control.defuse("<|[INST]|>") == "< |[ INST]|>"


@given(text=PARTS)
def test_a_defused_text_commands_nothing(text: str) -> None:
    defused = control.defuse(text)
    assert not control.TOKENS.search(defused)
    assert defused.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "token",
    ["<|im_start|>", "<|eot_id|>", "<start_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<｜User｜>", "</s>"],
)
def test_every_familys_tokens_are_known(token: str) -> None:
    assert control.strip(f"a{token}b") == "ab"
    assert token not in control.defuse(f"a{token}b")
