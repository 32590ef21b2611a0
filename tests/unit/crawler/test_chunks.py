from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svc import knowledge
from svc.crawler import article, chunks


def words(text: str) -> int:
    return len(text.split())


def page(*sections: tuple[str, str], title: str = "Clam", licence: str = "CC0-1.0") -> article.Article:
    return article.Article(
        title, licence, "test", (), tuple(article.Section(*section) for section in sections)
    )


def split(of: article.Article, address: str = "folder/clam.md") -> list[knowledge.Chunk]:
    return chunks.split(of, address, "knowledge/clam.md", words)


def test_short_sections_are_one_chunk_each_under_their_heading() -> None:
    lead, beer = split(page(("", "A bar."), ("Beer", "Ale is on tap.")))
    assert (lead.text, lead.section, lead.embedded()) == ("A bar.", "", "Clam\nA bar.")
    assert (beer.text, beer.section, beer.embedded()) == (
        "Ale is on tap.",
        "Beer",
        "Clam — Beer\nAle is on tap.",
    )
    assert (beer.source, beer.licence) == ("knowledge/clam.md", "CC0-1.0")


def test_the_same_content_has_the_same_id_and_any_other_content_another() -> None:
    text = ("", "A bar.")
    (one,) = split(page(text))
    assert split(page(text)) == [one]
    others = [
        *split(page(("", "A pub."))),
        *split(page(("Bar", "A bar."))),
        *split(page(text, title="The Clam")),
        *split(page(text, licence="CC-BY-4.0")),
        *split(page(text), address="folder/other.md"),
    ]
    assert len({one.id, *(other.id for other in others)}) == 6


def test_a_paragraph_said_twice_is_one_chunk() -> None:
    assert len(split(page(("Beer", "Ale."), ("Beer", "Ale.")))) == 1


def test_a_word_without_end_is_cut() -> None:
    found = split(page(("", "a" * 100_000)))
    assert max(len(chunk.text) for chunk in found) <= chunks.CHUNK_TOKENS_MAX * chunks.TOKEN_CHARS_MAX


def test_a_heading_without_end_leaves_room_for_text() -> None:
    (chunk,) = split(page(("History " * 500, "A bar.")))
    assert chunk.text == "A bar."


sentences = st.lists(
    st.lists(st.text("abcdefg{}", min_size=1, max_size=8), min_size=1, max_size=30).map(
        lambda ws: " ".join(ws) + "."
    ),
    min_size=1,
    max_size=40,
)


@given(sentences)
def test_long_sections_are_split_without_losing_a_word(said: list[str]) -> None:
    text = " ".join(f"{n} {sentence}" for n, sentence in enumerate(said))
    found = split(page(("History", text)))
    assert all(words(chunk.embedded()) <= chunks.CHUNK_TOKENS_MAX for chunk in found)
    assert " ".join(chunk.text for chunk in found).split() == text.split()
