from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.retriever import query
from svc.wire import message


def history(*texts: str, notice: bool = False) -> tuple[message.Utterance, ...]:
    author = message.Author(id="1", name="Sam")
    return tuple(
        message.Utterance(id=str(n), author=author, text=text, notice=notice) for n, text in enumerate(texts)
    )


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        # A pronoun or a very short message means somebody who was named before, the latest first.
        ("Where does he work?", ["Tell me about Glenn Quagmire"], "Where does he work? Glenn Quagmire"),
        ("And his wife?", ["Joe Swanson is a cop", "He's in a wheelchair"], "And his wife? Joe Swanson"),
        ("why tho", ["I saw Herbert near the Drunken Clam."], "why tho Herbert, Drunken Clam"),
        ("is it far", ["Old news about Providence.", "We met in Newport"], "is it far Newport, Providence"),
        ("is it far", ["It is in Rhode Island. We went there"], "is it far Rhode Island"),
        ("what did she say", ["Don't ask. Maybe Lois knows, maybe Meg"], "what did she say Lois, Meg"),
        ("Where is it?", ["I live in New York"], "Where is it? New York"),
        ("who's she", ["Lois's sister", "Dr. Hartman called"], "who's she Dr. Hartman, Lois"),
        # A question that stands on its own stays as it is.
        (
            "Who owns the brewery in Quahog?",
            ["Tell me about Glenn Quagmire"],
            "Who owns the brewery in Quahog?",
        ),
        # Names that are there already aren't said twice; small words and shouting aren't names.
        ("is Quagmire her neighbour", ["Quagmire lives next door"], "is Quagmire her neighbour"),
        ("what is that", ["What? No way! Maybe. OMG LOL"], "what is that"),
        ("what is that", ["https://Example.com/Peter and <@!1234> <:Brian:99>"], "what is that"),
        # Only the last lines count.
        ("what about it", ["Stewie", "a", "b", "c", "d"], "what about it"),
    ],
)
def test_names_come_from_the_last_lines(text: str, before: list[str], expected: str) -> None:
    assert query.rewrite(text, history(*before)) == expected


def test_you_is_the_character_that_is_asked() -> None:
    assert query.rewrite("What's your favourite beer?", (), "peter") == "What's your favourite beer? Peter"
    assert query.rewrite("Peter, what do you drink?", (), "peter") == "Peter, what do you drink?"
    assert query.rewrite("are you ok", history("I met Joe"), "mayor_west") == "are you ok Mayor West, Joe"
    assert query.rewrite("Who brews the best beer around here?", (), "peter").endswith("here?")


def test_our_own_excuses_are_about_nothing() -> None:
    assert query.rewrite("what is that", history("Ask Cleveland", notice=True)) == "what is that"


def test_markup_of_the_surface_is_not_searched_for() -> None:
    assert query.rewrite("<@123> look  at\nhttps://x.y/z this beer <a:cheers:1>") == "look at this beer"
    assert query.rewrite(" <@123> ") == ""


@given(st.text(max_size=2000), st.lists(st.text(max_size=200), max_size=6), st.sampled_from(["", "peter"]))
def test_the_question_always_comes_first_and_has_a_limit(
    text: str, before: list[str], character: str
) -> None:
    asked = query.rewrite(text)
    assert query.rewrite(text, history(*before), character).startswith(asked)
    assert len(asked) <= query.TEXT_CHARS_MAX


def test_braces_survive() -> None:
    assert query.rewrite("what is {0} and {name} and {{x}}?") == "what is {0} and {name} and {{x}}?"
