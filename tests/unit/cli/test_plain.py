"""What strangers wrote is shown, not obeyed."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich import control
from rich.console import Console
from rich.text import Text

from svc.bus import api
from svc.cli import plain, tail

NASTY = "\x1b]0;owned\x07\x1b[2Jred\x9b31m\tnext\nline \N{BEER MUG} [bold]no markup[/bold]"


@pytest.fixture(autouse=True)
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich as it is by itself, whatever ran before."""
    for code in plain.COMMANDS - set(control.STRIP_CONTROL_CODES):
        monkeypatch.delitem(control._CONTROL_STRIP_TRANSLATE, code, raising=False)


def printed(text: Text) -> str:
    out = io.StringIO()
    Console(file=out, width=200, highlight=False).print(text)
    return out.getvalue()


def test_control_characters_are_dropped_and_words_are_kept() -> None:
    assert "\x1b" in printed(Text(NASTY))  # rich alone lets them through
    plain.guard()
    text = Text("a ")
    text.append(NASTY)
    out = printed(text)
    assert not plain.COMMANDS & set(map(ord, out))
    for kept in ("owned", "red", "next\nline", "\N{BEER MUG}", "[bold]no markup[/bold]"):
        assert kept in out


def test_styles_still_work() -> None:
    plain.guard()
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard").print(Text("x", style="red"))
    assert "\x1b[31m" in out.getvalue()


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[" * 200_000, NASTY.encode()])
def test_garbage_that_passes_by_is_one_line_of_json(data: bytes) -> None:
    heard = api.Message("evt.x.y.\ufffd.0", data, {})
    line = tail._json(heard)
    assert "\n" not in line
    assert msgspec.json.decode(line)["subject"] == heard.subject
    assert heard.subject in tail._line(heard).plain
