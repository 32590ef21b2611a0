"""The starter knowledge keeps the form that its README promises, and its questions point at real articles."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pytest

ROOT = Path(__file__).parents[3]
KNOWLEDGE = ROOT / "knowledge"
QUESTIONS = ROOT / "tests" / "e2e" / "questions.jsonl"

KEYS = ("title", "licence", "source", "tags")
WORDS_MIN, WORDS_MAX = 60, 260
ARTICLES_MIN = 60
SECTIONS_MIN, SECTIONS_MAX = 1, 3
QUESTIONS_MIN, UNANSWERABLE_MIN = 40, 8

PATHS = sorted(path.relative_to(KNOWLEDGE).as_posix() for path in KNOWLEDGE.glob("**/*.md"))
ARTICLES = [path for path in PATHS if path != "README.md"]
KEBAB = re.compile(r"(people|places|things|show|world)/[a-z0-9]+(-[a-z0-9]+)*\.md")
TAGS = re.compile(r"\[[a-z0-9]+(-[a-z0-9]+)*(, [a-z0-9]+(-[a-z0-9]+)*)*\]")
UNCLEAN = re.compile("[\ufffd\u200b-\u200f\u00a0\ufeff\t\r]|[\x00-\x09\x0b-\x1f]|â€|Ã.")
"""Replacement, invisible and control characters, and the usual traces of text decoded twice."""


@dataclass(frozen=True)
class Article:
    front: dict[str, str]
    blocks: list[str]
    """The body's headings and paragraphs, each on one line."""

    @property
    def paragraphs(self) -> list[str]:
        return [block for block in self.blocks if not block.startswith("#")]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    question: str
    relevant: tuple[str, ...]
    kind: Literal["fact", "paraphrase", "chatty", "unanswerable"]


def read(path: str) -> Article:
    opening, head, body = (KNOWLEDGE / path).read_text(encoding="utf-8").split("---\n", 2)
    assert opening == "", "the front matter comes first"
    pairs = [line.split(": ", 1) for line in head.splitlines()]
    blocks = [" ".join(block.split()) for block in body.split("\n\n")]
    front_matter = {pair[0]: pair[1] for pair in pairs}
    assert len(front_matter) == len(pairs), "every key once"
    return Article(front=front_matter, blocks=[block for block in blocks if block])


def questions() -> list[Question]:
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    return [msgspec.json.decode(line, type=Question) for line in lines]


@pytest.mark.parametrize("path", ARTICLES)
def test_article_has_the_promised_form(path: str) -> None:
    article = read(path)
    assert KEBAB.fullmatch(path)
    assert tuple(article.front) == KEYS
    assert TAGS.fullmatch(article.front["tags"])
    assert all(value == value.strip() and value for value in article.front.values())
    # A plain YAML scalar: what we split at ": " a YAML reader must not split again.
    assert ": " not in article.front["title"]
    assert article.front["licence"] == "CC0-1.0"
    assert article.blocks[0] == f"# {article.front['title']}"
    assert not article.blocks[1].startswith("#"), "an opening paragraph follows the title"
    sections = [block for block in article.blocks[1:] if block.startswith("#")]
    assert all(re.fullmatch(r"## [^#\s].*", section) for section in sections)
    assert SECTIONS_MIN <= len(sections) <= SECTIONS_MAX
    assert not article.blocks[-1].startswith("#"), "no section is empty"
    words = sum(len(paragraph.split()) for paragraph in article.paragraphs)
    assert WORDS_MIN <= words <= WORDS_MAX


@pytest.mark.parametrize("path", PATHS)
def test_text_is_clean_utf8(path: str) -> None:
    text = (KNOWLEDGE / path).read_bytes().decode("utf-8")
    assert not UNCLEAN.search(text)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_there_are_enough_articles() -> None:
    assert len(ARTICLES) >= ARTICLES_MIN


def test_no_title_appears_twice() -> None:
    titles = Counter(read(path).front["title"].casefold() for path in ARTICLES)
    assert [title for title, times in titles.items() if times > 1] == []


def test_no_paragraph_appears_twice() -> None:
    paragraphs = Counter(text.casefold() for path in ARTICLES for text in read(path).paragraphs)
    assert [text for text, times in paragraphs.items() if times > 1] == []


def test_questions_point_at_articles() -> None:
    asked = questions()
    assert len(asked) >= QUESTIONS_MIN
    assert len({question.id for question in asked}) == len(asked)
    assert len({question.question.casefold() for question in asked}) == len(asked)
    assert {path for question in asked for path in question.relevant} <= set(ARTICLES)
    unanswerable = [question for question in asked if question.kind == "unanswerable"]
    assert len(unanswerable) >= UNANSWERABLE_MIN
    assert all((not question.relevant) == (question.kind == "unanswerable") for question in asked)
