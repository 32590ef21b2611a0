"""A draft made presentable: one speaker, one paragraph, whole sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.router import reply

NAME = "Peter Griffin"


def tidy(text: str, sentences: int = 2) -> str:
    return reply.tidy(text, NAME, sentences=sentences)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \n ", ""),
        ("Beer!", "Beer!"),
        ("One. Two! Three?", "One. Two!"),
        ("One.  Two!\nThree?", "One. Two!"),
        ("\n\nBeer first.\n\nThen more.", "Beer first."),
        ("No end in sight", "No end in sight"),
        ("Done. And then I", "Done."),
        ("Done. And then I… See?", "Done. And then I…"),
        ("It costs 3.50 at the Clam. Cheap!", "It costs 3.50 at the Clam. Cheap!"),
        ("{braces} stay. %s too.", "{braces} stay. %s too."),
        ("Sweet… Really?! Yes. No.", "Sweet… Really?!"),
        ('"Beer!"', '"Beer!"'),
        ("*burps.*", "*burps.*"),
    ],
)
def test_what_is_kept(text: str, expected: str) -> None:
    assert tidy(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Peter Griffin: Beer!", "Beer!"),
        ("peter: Beer!", "Beer!"),
        ("**Peter Griffin:** Beer!", "Beer!"),
        ("*Peter*: Beer!", "Beer!"),
        ("Peter:", ""),
        ("Peter Griffin: \n", ""),
        ("Brian: Beer!", "Brian: Beer!"),
        ("Griffin: Beer!", "Griffin: Beer!"),
        ("So I said: beer!", "So I said: beer!"),
        ("Peter says: beer!", "Peter says: beer!"),
        ("Here is what I think about all of that now, Peter: no.", None),
    ],
)
def test_only_the_own_name_in_front_is_taken_off(text: str, expected: str | None) -> None:
    assert tidy(text) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Peter: *sighs* Fine.", "*sighs* Fine."),
        ('Peter: "Beer," he said. "Now."', '"Beer," he said. "Now."'),
        ("Peter: I love *beer*", "I love *beer*"),
    ],
)
def test_emphasis_and_quotes_behind_the_own_name_are_kept(text: str, expected: str) -> None:
    assert tidy(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I won (twice!) at bowling. Yes.", "I won (twice!) at bowling. Yes."),
        ("(Lois is mad.) Beer. Yes.", "(Lois is mad.) Beer."),
        ("“Beer me.” That's what I said. Yes.", "“Beer me.” That's what I said."),
        ('She said "no." I said "yes." Ha.', 'She said "no." I said "yes."'),
    ],
)
def test_closing_quotes_and_brackets_survive(text: str, expected: str) -> None:
    assert tidy(text) == expected


@pytest.mark.parametrize("text", ["Holy crap, I met Dr. Hartman", "I love Mr. T and beer"])
def test_an_abbreviation_does_not_end_a_sentence(text: str) -> None:
    assert tidy(text) == text


def test_a_quotation_mark_that_lost_its_partner_goes_too() -> None:
    assert tidy('He said "one. Two. Three."', 1) == "He said one."


TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(["Beer", " ", ". ", "! ", "\n", '"', "Peter: ", "*", "…", ")", "a b"]), max_size=12
    ).map("".join),
)


@given(TEXT, st.integers(1, 4))
def test_the_result_is_one_stripped_line_made_of_the_first_paragraph(text: str, sentences: int) -> None:
    tidied = tidy(text, sentences)
    assert "\n" not in tidied
    assert tidied == tidied.strip()
    words = iter(text.strip().partition("\n")[0].split())
    for word in tidied.replace('"', "").split():
        assert any(word in given.replace('"', "") for given in words)
    assert tidied.count('"') % 2 == 0
    assert tidy(text, sentences) == tidied


@given(
    st.lists(st.sampled_from(["One", "Two beers", "Holy crap"]), min_size=1, max_size=6), st.integers(1, 5)
)
def test_no_more_sentences_than_asked_for(parts: list[str], sentences: int) -> None:
    text = " ".join(f"{part}." for part in parts)
    assert tidy(text, sentences) == " ".join(f"{part}." for part in parts[:sentences])
