"""Where in a TOML file a value stands, so that a mistake can be shown with its line.

`tomllib` forgets positions. This scanner reads a text that `tomllib` has accepted, so it checks nothing.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]
"""`("examples", 3, "reply")` is `reply` of the fourth `[[examples]]`."""

TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|"
    r"#[^\n]*|[\[\]{}=,.\n]|[^\s\[\]{}=,.#\"']+",
    re.DOTALL,
)
END = ""


def line(text: str, path: Path) -> int:
    """The line (from 1) of the value at `path`, or of the nearest thing around it that is there."""
    found = lines(text)
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 1)


def lines(text: str) -> dict[Path, int]:
    """The line of every table, key and list entry."""
    return _Scanner(text).document()


def shown(path: Path) -> str:
    """`examples[3].reply`, as people write it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


class _Scanner:
    def __init__(self, text: str) -> None:
        text = text.replace("\r\n", "\n")
        self.tokens: list[tuple[str, int]] = []
        number, position = 1, 0
        for match in TOKEN.finditer(text):
            number += text.count("\n", position, match.start())
            position = match.start()
            if not match[0].startswith("#"):
                self.tokens.append((match[0], number))
        self.at = 0
        self.found: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        table: Path = ()
        tables: dict[Path, int] = {}  # array of tables -> how many there are
        while self.look() != END:
            if self.look() == "\n":
                self.take()
            elif self.look() == "[":
                table = self.header(tables)
            else:
                self.pair(table)
        return self.found

    def header(self, tables: dict[Path, int]) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that begins here."""
        number = self.take()[1]
        repeated = self.look() == "["
        if repeated:
            self.take()
        *parents, last = self.key()
        path: Path = ()
        for part in parents:
            path = (*path, part)
            if path in tables:
                path = (*path, tables[path] - 1)
        path = (*path, last)
        if repeated:
            self.found.setdefault(path, number)
            tables[path] = tables.get(path, 0) + 1
            path = (*path, tables[path] - 1)
        self.found[path] = number
        while self.look() == "]":
            self.take()
        return path

    def pair(self, table: Path) -> None:
        number = self.tokens[self.at][1]
        path = (*table, *self.key())
        self.take()  # the "="
        self.value(path, number)

    def key(self) -> list[str]:
        parts: list[str] = []
        while self.look() not in ("=", "]", END):
            token = self.take()[0]
            if token != ".":
                parts.append(_unquoted(token))
        return parts

    def value(self, path: Path, number: int) -> None:
        self.found[path] = number
        opened = self.look()
        if opened not in ("[", "{"):
            while self.look() not in (",", "]", "}", "\n", END):
                self.take()
            return
        self.take()
        index = 0
        while self.look() not in ("]", "}", END):
            if self.look() in ("\n", ","):
                self.take()
            elif opened == "{":
                self.pair(path)
            else:
                self.value((*path, index), self.tokens[self.at][1])
                index += 1
        self.take()

    def look(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else END

    def take(self) -> tuple[str, int]:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else (END, 0)


def _unquoted(token: str) -> str:
    return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token
