"""Sources on this machine: `folder:starter` is the whole knowledge folder, `folder:NAME` a folder in it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path, PurePosixPath

from svc import errors
from svc.crawler import article

SITE = "folder"
"""What pages of a folder are filed under, whichever folder they were read through."""
STARTER = "folder:starter"
ARTICLES_MAX = 20_000
"""More than this is no folder of articles but a mistake in a path."""
SKIPPED = ("README.md",)
"""Notes for people; they have no front matter."""

NAME = re.compile(r"folder:((?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+)")


class UnknownSource(errors.QuahogError):
    """There is no such folder."""


@dataclasses.dataclass(frozen=True, slots=True)
class Folder:
    """A folder of articles. A page's key is its path from `root`: the same file is always the same page."""

    root: Path
    prefix: str = ""
    """`places/` = only that part of the root; "" = all of it."""

    def keys(self) -> list[str]:
        """Every article, sorted. Raises UnknownSource for none: an empty mount is not a wish to forget."""
        start = self.root / self.prefix
        found = sorted(
            path.relative_to(self.root).as_posix()
            for path in start.rglob("*.md")
            if path.name not in SKIPPED and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            raise UnknownSource(f"no articles (*.md) in {start}: check QUAHOG_KNOWLEDGE")
        if len(found) > ARTICLES_MAX:
            raise UnknownSource(f"more than {ARTICLES_MAX} articles in {start}: check QUAHOG_KNOWLEDGE")
        return found

    def read(self, key: str) -> bytes:
        """The bytes of an article, cut just behind the limit that `article.parse` checks. Raises OSError."""
        with (self.root / key).open("rb") as file:
            return file.read(article.ARTICLE_BYTES_MAX + 1)


def resolve(source: str, root: Path) -> Folder | None:
    """The folder a source names, or None if it names no folder at all. Raises UnknownSource."""
    if source == STARTER:
        return Folder(root)
    match = NAME.fullmatch(source)
    if match is None:
        return None
    if not (root / match[1]).is_dir():
        raise UnknownSource(f"there is no folder {match[1]!r} in {root}")
    return Folder(root, f"{match[1]}/")


def address(key: str, stated: str) -> str:
    """What a reader is told about where a passage comes from: the stated URL, else the path of the file."""
    return stated if stated.startswith(("https://", "http://")) else str(PurePosixPath("knowledge", key))
