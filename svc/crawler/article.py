"""Markdown articles: front matter, one title, paragraphs, sections.

---
title: The Clam
licence: CC0-1.0
source: written for Quahog
tags: places, beer
---
# The Clam

What it is, in a few sentences.

## Regulars
…
"""

from __future__ import annotations

import dataclasses
import re

from svc import errors

ARTICLE_BYTES_MAX = 256 * 1024
"""A longer file is hardly an article; it is skipped rather than read."""
REQUIRED = ("title", "licence", "source")
"""Without these nobody could say later whether a passage may be used."""

FENCE = "---"
HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
# These stop at their own beginning, so that no text makes them look at everything again and again.
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\[\]]*\)")
WRAP = re.compile(r"(?<=\S)[ \t]*\n[ \t]*(?=[^\s\-*+>|\d])")
"""A line break inside a paragraph. What may start an item, a quote, a row or a number keeps its line."""
STRONG = re.compile(r"(\*\*|__|`)(.+?)\1")


class Broken(errors.QuahogError):
    """This article can't be used; the message says why and fits behind the name of its file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    heading: str
    """"" for what stands before the first heading; sub-headings are joined: "History / Early years"."""
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Article:
    title: str
    licence: str
    source: str
    tags: tuple[str, ...]
    sections: tuple[Section, ...]


def parse(data: bytes) -> Article:
    """Read one article. Raises Broken."""
    if len(data) > ARTICLE_BYTES_MAX:
        raise Broken(f"larger than {ARTICLE_BYTES_MAX // 1024} KiB: split it")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Broken(f"not UTF-8 (byte {error.start}): save it as UTF-8") from None
    lines = text.split("\n")
    about, body = _front_matter(lines)
    sections = tuple(section for section in _sections(body) if section.text)
    if not sections:
        raise Broken("no text after the front matter")
    return Article(
        title=about["title"],
        licence=about["licence"],
        source=about["source"],
        tags=tuple(filter(None, (tag.strip(" \"'") for tag in about.get("tags", "").strip("[]").split(",")))),
        sections=sections,
    )


def _front_matter(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    if lines[0].rstrip() != FENCE:
        raise Broken(f"no front matter: the first line must be {FENCE}")
    about: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.rstrip() == FENCE:
            break
        if not line.strip():
            continue
        key, separator, value = line.partition(":")
        if not separator or not key.strip().isidentifier():
            raise Broken(f"line {number}: expected `key: value` in the front matter")
        about[key.strip().lower()] = value.strip().strip("\"'")
    else:
        raise Broken(f"the front matter is not closed by {FENCE}")
    if missing := [key for key in REQUIRED if not about.get(key)]:
        raise Broken(f"the front matter lacks {', '.join(missing)}")
    return about, lines[number:]


def _sections(lines: list[str]) -> list[Section]:
    """Split at headings. The first-level heading repeats the title, so it starts no section of its own."""
    sections: list[Section] = []
    path: list[str] = []
    text: list[str] = []
    fenced = False

    def close() -> None:
        sections.append(Section(" / ".join(filter(None, path)), _clean("\n".join(text))))
        text.clear()

    for line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
        heading = None if fenced else HEADING.fullmatch(line.rstrip())
        if heading is None:
            text.append(line)
            continue
        close()
        depth = len(heading[1]) - 2  # `##` is the first level inside an article
        path[max(depth, 0) :] = [_clean(heading[2].rstrip("# "))] if depth >= 0 else []
    close()
    return sections


def _clean(text: str) -> str:
    """Prose without markup: a link becomes its words, wrapped lines are joined, lists keep their lines."""
    text = COMMENT.sub("", text)
    text = LINK.sub(r"\1", text)
    text = STRONG.sub(r"\2", text)
    text = WRAP.sub(" ", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
