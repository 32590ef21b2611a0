from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svc.retriever import selection
from svc.wire import retriever


def passage(id_: str, score: float, text: str = "", page: str = "") -> retriever.Passage:
    return retriever.Passage(
        id=id_, text=text or f"words of {id_}", source=page or id_, title="T", score=score
    )


def ids(chosen: tuple[retriever.Passage, ...]) -> list[str]:
    return [one.id for one in chosen]


def test_what_is_not_relevant_is_not_given() -> None:
    assert selection.select([passage("a", 0.29), passage("b", 0.1)], 0.3, 4) == ()
    assert ids(selection.select([passage("a", 0.3), passage("b", 0.1)], 0.3, 4)) == ["a"]


def test_a_page_has_two_passages_at_most() -> None:
    many = [passage(name, 0.9, page="x.md") for name in "abc"] + [passage("d", 0.5)]
    assert ids(selection.select(many, 0.3, 4)) == ["a", "b", "d"]


def test_doubles_are_dropped() -> None:
    text = "Peter drinks Pawtucket Patriot Ale at the Drunken Clam every evening"
    doubled = [
        passage("a", 0.9, text),
        passage("b", 0.8, text.upper() + "!"),
        passage("c", 0.7, "Brian reads"),
    ]
    assert ids(selection.select(doubled, 0.3, 4)) == ["a", "c"]


@given(st.lists(st.tuples(st.floats(0, 1), st.text(max_size=20), st.sampled_from("xyz"))), st.integers(1, 20))
def test_the_best_come_first_and_never_too_many(found: list[tuple[float, str, str]], limit: int) -> None:
    candidates = [
        passage(str(n), score, text, page)
        for n, (score, text, page) in enumerate(sorted(found, key=lambda one: -one[0]))
    ]
    chosen = selection.select(candidates, 0.3, limit)
    assert len(chosen) <= limit
    assert [one.score for one in chosen] == sorted((one.score for one in chosen), reverse=True)
    if candidates and candidates[0].score >= 0.3:
        assert chosen[0] == candidates[0]
