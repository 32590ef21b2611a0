"""Who is spoken to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import config
from svc.characters import pack
from svc.coordinator import addressing
from svc.wire import characters, message

FALLBACKS = characters.Fallbacks(failed=("No.",), busy=("Busy.",), unknown=("Dunno.",))


def a_pack(name: str, *aliases: str) -> characters.Pack:
    return characters.Pack(
        id=name.split()[0].casefold(), name=name, summary="s", aliases=aliases, fallbacks=FALLBACKS
    )


CAST = (a_pack("Peter Griffin", "Petey", "the fat man"), a_pack("Brian", "dog"), a_pack("Pan", "Peter Pan"))
NAMES = addressing.Names(CAST)


def heard(
    text: str, *, to: tuple[str, ...] = (), surface: str = "discord", bot: bool = False
) -> message.Heard:
    return message.Heard(
        message="m",
        native="n",
        surface=surface,
        channel="c",
        author=message.Author(id="1", bot=bot),
        text=text,
        to=to,
    )


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("Peter, hi", ("peter",)),
        ("peter!", ("peter",)),
        ("PETER GRIFFIN?", ("peter",)),
        ("Hey Petey and brian", ("peter", "brian")),
        ("brian, ask Peter, brian", ("brian", "peter")),
        ("Where is the fat man", ("peter",)),
        ("Peter Pan can fly", ("pan",)),
        ("Peter's beer", ("peter",)),
        ("@Brian", ("brian",)),
        ("repeter, Peterson, Brianna, dogs", ()),
        ("peter_1", ()),
        ("Пeter", ()),
        ("", ()),
        ("{Brian}", ("brian",)),
    ],
)
def test_names_are_whole_words_of_any_case_and_the_longest_counts(text: str, called: tuple[str, ...]) -> None:
    assert NAMES.called(text) == called


@pytest.mark.parametrize("text", ["brıan", "BRİAN", "the fat man ſ", "Kelvin", "ﬁ brian"])
def test_letters_that_only_look_alike_never_raise(text: str) -> None:
    """Python's regular expressions take ı and İ for an i, casefold() does not."""
    assert set(NAMES.called(text)) <= set(NAMES.ids)


@given(st.text(max_size=40))
def test_no_text_is_too_odd(text: str) -> None:
    assert set(NAMES.called(text)) <= set(NAMES.ids)
    assert set(addressing.addressed(heard(text), NAMES)) <= set(NAMES.ids)


@given(st.lists(st.sampled_from(["Peter", "brıan", "BRİAN", "dog", " ", ",", "ß", "ſ", "İ"]), max_size=8))
def test_no_mixture_of_names_is_too_odd(words: list[str]) -> None:
    assert set(NAMES.called(" ".join(words))) <= set(NAMES.ids)


def test_a_name_is_no_pattern() -> None:
    names = addressing.Names((a_pack("A.B (x)"), a_pack("Cee", "c+")))
    assert names.called("AxB (x)") == ()
    assert names.called("hello c+ there") == ("cee",)


def test_the_first_pack_keeps_a_name_that_two_claim() -> None:
    names = addressing.Names((a_pack("Ann", "boss"), a_pack("Bob", "boss")))
    assert names.called("boss") == ("ann",)


@pytest.mark.parametrize(
    ("said", "who", "why"),
    [
        (heard("Hi", to=("brian",)), ["brian"], "mention"),
        (heard("Peter!", to=("brian", "peter")), ["brian", "peter"], "mention"),
        (heard("Hi", to=("stranger", "brian")), ["brian"], "mention"),
        (heard("Peter?", to=("stranger",)), ["peter"], "name"),
        (heard("Peter, tell everyone"), ["peter"], "name"),
        (heard("Hello everyone"), ["peter", "brian", "pan"], "everybody"),
        (heard("What do YOU GUYS think"), ["peter", "brian", "pan"], "everybody"),
        (heard("Nice weather", surface="console"), ["peter", "brian", "pan"], "nobody else"),
        (heard("Brian?", surface="console"), ["brian"], "name"),
    ],
)
def test_who_and_why(said: message.Heard, who: list[str], why: str) -> None:
    addressed = addressing.addressed(said, NAMES)
    assert list(addressed) == who
    assert all(why in reason for reason in addressed.values())


@pytest.mark.parametrize("surface", ["discord", "http"])
def test_words_to_nobody_in_a_room_of_many_are_words_to_nobody(surface: str) -> None:
    assert addressing.addressed(heard("Nice weather", surface=surface), NAMES) == {}


@pytest.mark.parametrize("to", [(), ("peter",)])
def test_bots_are_never_answered(to: tuple[str, ...]) -> None:
    assert addressing.addressed(heard("Peter! Everyone!", to=to, bot=True), NAMES) == {}


def test_the_cast_answers_to_all_its_names() -> None:
    shipped = pack.load(config.shipped("characters"))
    names = addressing.Names(tuple(shipped.values()))
    for each in shipped.values():
        for name in (each.id, each.name, *each.aliases):
            assert names.called(f"Hey {name}, hi") == (each.id,), name
