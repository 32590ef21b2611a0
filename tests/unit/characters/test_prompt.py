"""The prompt made from a pack."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import config
from svc.characters import prompt, roster
from svc.wire import base, characters

CAST = roster.Roster.load(config.shipped("characters"))
PETER = CAST.packs["peter"]
HOSTILE = st.text(max_size=200) | st.lists(
    st.sampled_from(["{pack.name}", "{", "}", "{0}", "%s", "\x00", "\x1b[0m", "\n", "User:", "beer ", "${x}"])
).map("".join)


def build(character: str, topic: str = "") -> characters.Prompt:
    return prompt.build(CAST.packs[character], CAST.others(character), topic)


@pytest.mark.parametrize("character", ["brian", "peter", "stewie"])
def test_the_system_prompt_is_short_and_whole(character: str) -> None:
    pack, built = CAST.packs[character], build(character)
    assert len(built.system) <= prompt.SYSTEM_CHARS_MAX
    assert pack.summary in built.system
    assert prompt.RULES in built.system
    for first in (pack.voice[0], pack.never[0], pack.personality[0], pack.canon[0]):
        assert first in built.system
    for feeling in pack.relationships.values():
        assert feeling in built.system


@pytest.mark.parametrize("character", ["brian", "peter", "stewie"])
def test_nothing_to_be_said_stands_in_the_system_prompt(character: str) -> None:
    pack, built = CAST.packs[character], build(character)
    for line in (*pack.lines, *(example.reply for example in pack.examples), *pack.openers):
        assert line not in built.system


@given(topic=HOSTILE)
def test_no_topic_breaks_or_leaks_into_a_prompt(topic: str) -> None:
    built = build("peter", topic)
    assert built == build("peter", topic)
    assert msgspec.structs.replace(built, examples=()) == msgspec.structs.replace(
        build("peter"), examples=()
    ), "only the choice of examples depends on what somebody typed"
    assert len(set(built.examples)) == prompt.EXAMPLES
    assert set(built.examples) <= set(PETER.examples)
    assert base.decode(base.encode(built), characters.Prompt) == built


@given(text=HOSTILE.filter(str.strip))
def test_braces_in_a_pack_stay_braces(text: str) -> None:
    pack = msgspec.structs.replace(PETER, summary=text, voice=(text,), name="{name}")
    assert f"You are {{name}}. {text}\n" in prompt.system(pack, {})


@given(
    voice=st.lists(st.text(min_size=1, max_size=300), max_size=12).map(tuple),
    canon=st.lists(st.text(min_size=1, max_size=300), max_size=60).map(tuple),
    summary=st.text(min_size=1, max_size=400),
)
def test_the_system_prompt_keeps_its_bound(
    voice: tuple[str, ...], canon: tuple[str, ...], summary: str
) -> None:
    pack = msgspec.structs.replace(PETER, voice=voice, canon=canon, summary=summary, name="N" * 32)
    built = prompt.system(pack, CAST.others("peter"))
    assert len(built) <= prompt.SYSTEM_CHARS_MAX
    assert summary in built
    assert built.endswith(prompt.RULES)


@pytest.mark.parametrize(
    ("character", "topic", "expected"),
    [
        ("peter", "what beer do you drink", "What's your favorite beer?"),
        ("peter", "seen that CHICKEN lately?", "Tell me about the giant chicken."),
        ("brian", "tell me about your novel", "How is the novel going?"),
        ("stewie", "how is rupert", "Who is Rupert?"),
        ("stewie", "have you finished the doomsday machine", "Does your time machine work?"),
    ],
)
def test_examples_fit_the_topic(character: str, topic: str, expected: str) -> None:
    assert expected in [example.user for example in build(character, topic).examples]


def test_without_a_fit_the_first_four_are_shown() -> None:
    assert build("peter", "zyx qwv").examples == PETER.examples[:4]
    assert build("peter", "").examples == PETER.examples[:4]


def test_one_subject_does_not_take_every_example() -> None:
    same = tuple(characters.Exchange(user="beer?", reply=f"beer number {index}") for index in range(6))
    other = characters.Exchange(user="work?", reply="I like my job")
    assert other in prompt.examples((*same, other), "beer after work")


def test_examples_come_in_the_order_of_the_pack() -> None:
    chosen = build("peter", "chicken and beer").examples
    assert list(chosen) == sorted(chosen, key=PETER.examples.index)


def test_everybody_else_ends_a_draft() -> None:
    assert build("peter").stop == ("\n", "User:", "Brian Griffin:", "Brian:", "Stewie Griffin:", "Stewie:")


def test_a_namesake_does_not_end_a_draft() -> None:
    assert prompt.stops("Peter Griffin", ("Peter Parson",)) == ("\n", "User:", "Peter Parson:")


def test_what_a_pack_leaves_open_is_filled_in() -> None:
    filled = prompt.sampling(characters.Sampling(temperature=0.3))
    assert filled.temperature == 0.3
    assert filled.max_tokens == prompt.SAMPLING.max_tokens
    assert prompt.sampling(characters.Sampling(max_tokens=99)).max_tokens == 99
