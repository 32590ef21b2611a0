from __future__ import annotations

import pytest

from svc.crawler import article

FRONT = "---\ntitle: The Clam\nlicence: CC0-1.0\nsource: test\ntags: [bar, 'beer']\n---\n"


def parse(text: str) -> article.Article:
    return article.parse(text.encode())


def test_an_article_is_split_at_its_headings() -> None:
    page = parse(
        FRONT + "\n# The Clam\n\nA bar.\n\n## Regulars\n\nPeter.\n\n### Guests\n\nBrian.\n\n## Beer\n\nAle.\n"
    )
    assert (page.title, page.licence, page.source, page.tags) == (
        "The Clam",
        "CC0-1.0",
        "test",
        ("bar", "beer"),
    )
    assert page.sections == (
        article.Section("", "A bar."),
        article.Section("Regulars", "Peter."),
        article.Section("Regulars / Guests", "Brian."),
        article.Section("Beer", "Ale."),
    )


def test_wrapped_lines_are_joined_and_lists_are_not() -> None:
    page = parse(FRONT + "One line\nand another.\n\n- a\n- b\n\n1. c\n2. d\n")
    assert page.sections[0].text == "One line and another.\n\n- a\n- b\n\n1. c\n2. d"


def test_markup_goes_and_words_stay() -> None:
    page = parse(FRONT + "A **bold** [bar](http://x.y/z) <!-- not this --> `{name}` {{braces}} 5 * 3 * 2.")
    assert page.sections[0].text == "A bold bar  {name} {{braces}} 5 * 3 * 2."


def test_a_heading_in_a_code_block_is_none() -> None:
    page = parse(FRONT + "```\n# not a heading\n```\n")
    assert [section.heading for section in page.sections] == [""]


def test_windows_line_ends_and_a_byte_order_mark_are_fine() -> None:
    page = article.parse(("\ufeff" + FRONT + "Text.").replace("\n", "\r\n").encode())
    assert page.sections == (article.Section("", "Text."),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"# Title\n\nText.", "no front matter"),
        (b"", "no front matter"),
        (b"---\ntitle: x\nlicence: y\n", "is not closed"),
        (b"---\ntitle: x\nsource: z\n---\nText.", "lacks licence"),
        (b"---\ntitle:\nlicence: y\n---\nText.", "lacks title, source"),
        (b"---\n- title\n---\nText.", "line 2: expected"),
        (FRONT.encode() + b"\n# Only a title\n", "no text"),
        (FRONT.encode() + b"\xff\xfe", "not UTF-8"),
        (FRONT.encode() + b"x" * article.ARTICLE_BYTES_MAX, "larger than 256 KiB"),
    ],
)
def test_a_broken_article_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(article.Broken, match=reason):
        article.parse(data)


@pytest.mark.parametrize("piece", ["[", "<!--", "**a ", "# ", "[](", "`", "\n", " \n-", "__", "[a](b"])
def test_no_text_keeps_it_busy(piece: str) -> None:
    """Quadratic patterns would take minutes here; the test's own timeout is the assertion."""
    room = article.ARTICLE_BYTES_MAX - len(FRONT) - 10
    parse(FRONT + "end.\n" + (piece * room)[:room])
