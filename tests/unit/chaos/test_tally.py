"""Counting what came out: what is one post, what are two, what is none."""

from __future__ import annotations

import dataclasses
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from svc.chaos import tally

CHANNEL = "console-c"
ASKED = tally.Asked(CHANNEL, "n1", "peter")
POST = tally.Post("t1", 0, "Hehehe")


def offered(*asked: tally.Asked) -> tally.Tally:
    """Everything is offered and accepted; the turn of the k-th is `t<k>`."""
    counted = tally.Tally()
    counted.offer(asked)
    for number, one in enumerate(asked, 1):
        counted.accept(one, f"t{number}")
    return counted


def test_an_answer_is_counted_once_however_often_it_is_shown() -> None:
    counted = offered(ASKED)
    assert counted.missing() == (ASKED,)
    assert counted.show(7, ASKED, POST) is True
    assert counted.show(7, ASKED, POST) is False
    assert counted.remember(CHANNEL, POST) is None
    counted.receive(7, ASKED, POST)
    found = counted.verdict()
    assert (found.answered, found.lost, found.duplicated, found.strays) == ((ASKED,), (), (), ())
    assert counted.missing() == ()


def test_the_same_words_under_another_number_are_a_double() -> None:
    counted = offered(ASKED)
    counted.show(7, ASKED, POST)
    counted.show(9, ASKED, POST)
    assert counted.verdict().duplicated == (ASKED,)


def test_other_words_under_the_same_number_are_a_double() -> None:
    counted = offered(ASKED)
    counted.show(7, ASKED, POST)
    counted.show(7, ASKED, dataclasses.replace(POST, text="Something else"))
    assert counted.verdict().duplicated == (ASKED,)


def test_a_second_turn_for_the_same_message_is_a_double() -> None:
    counted = offered(ASKED)
    counted.show(7, ASKED, POST)
    counted.show(8, ASKED, dataclasses.replace(POST, turn="another"))
    assert counted.verdict().duplicated == (ASKED,)


def test_history_answers_and_convicts() -> None:
    counted = offered(ASKED)
    assert counted.remember(CHANNEL, POST) == ASKED
    assert counted.verdict().answered == (ASKED,)
    assert counted.verdict().duplicated == ()
    counted.show(7, ASKED, POST)
    assert counted.verdict().duplicated == ()
    counted.remember(CHANNEL, dataclasses.replace(POST, text="Something else"))
    assert counted.verdict().duplicated == (ASKED,)


def test_what_only_the_record_knows_is_lost_and_may_be_a_double() -> None:
    counted = offered(ASKED)
    counted.receive(7, ASKED, POST)
    assert counted.verdict().lost == (ASKED,)
    counted.receive(8, ASKED, POST)
    assert counted.verdict().duplicated == (ASKED,)


def test_what_nobody_asked_for_is_a_stray() -> None:
    counted = offered(ASKED)
    elsewhere = dataclasses.replace(ASKED, channel="console-d")
    assert counted.show(7, elsewhere, POST) is False
    assert counted.remember("console-d", POST) is None
    assert counted.verdict().strays == (POST,)
    assert counted.verdict().lost == (ASKED,)


def test_a_line_of_an_unknown_turn_is_left_to_the_receipts() -> None:
    counted = offered(ASKED)
    assert counted.remember(CHANNEL, tally.Post("unknown", 0, "Hi")) is None
    assert counted.verdict().strays == ()


def test_what_was_never_accepted_may_be_answered_but_not_twice() -> None:
    counted = tally.Tally()
    counted.offer([ASKED])
    counted.show(7, ASKED, POST)
    found = counted.verdict()
    assert (found.accepted, found.lost, found.duplicated) == ((), (), ())
    assert counted.turn_of(ASKED) == ""
    counted.show(8, ASKED, POST)
    assert counted.verdict().duplicated == (ASKED,)


MANY = [tally.Asked(CHANNEL, f"n{number}", "peter") for number in range(1, 6)]
POSTS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12)
"""What the system posts, in the order of the record: for whom, and whether with words of its own."""


@given(
    POSTS,
    st.sets(st.integers(0, 4)),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["page", "history", "record"])), max_size=60),
)
def test_the_verdict_is_that_of_somebody_who_sees_everything(
    posts: list[tuple[int, bool]], accepted: set[int], seen: list[tuple[int, str]]
) -> None:
    """Whatever is shown in whatever way and order: a post is a post, and only what was seen counts."""
    counted = tally.Tally()
    counted.offer(MANY)
    for number in accepted:
        counted.accept(MANY[number], f"t{number}")
    made = [
        (number, tally.Post(f"t{who}", 0, f"own words {number}" if own else "the same words"))
        for number, (who, own) in enumerate(posts)
    ]
    numbered: set[int] = set()
    remembered: set[tuple[int, tally.Post]] = set()
    shown: set[int] = set()
    for number, way in ((number, way) for number, way in seen if number < len(made)):
        who, post = posts[number][0], made[number][1]
        if way == "page":
            assert counted.show(number, MANY[who], post) is (who not in shown)
        elif way == "record":
            counted.receive(number, MANY[who], post)
        else:
            first = counted.remember(CHANNEL, post)
            if who not in accepted:
                assert first is None
                continue
            assert (first == MANY[who]) is (who not in shown)
            remembered.add((who, post))
        if way != "history":
            numbered.add(number)
        if way != "record":
            shown.add(who)
    # In history, posts with the same words under the same turn are one line.
    known = {(posts[number][0], made[number][1]) for number in numbered}
    count = Counter(posts[number][0] for number in numbered) + Counter(who for who, _ in remembered - known)
    found = counted.verdict()
    assert found.accepted == tuple(MANY[who] for who in sorted(accepted))
    assert found.answered == tuple(MANY[who] for who in sorted(accepted & shown))
    assert found.lost == counted.missing() == tuple(MANY[who] for who in sorted(accepted - shown))
    assert found.duplicated == tuple(MANY[who] for who in range(5) if count[who] > 1)
    assert found.strays == ()
