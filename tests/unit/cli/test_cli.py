"""The command line: what is printed, what it exits with, what it reads; nothing here reaches a network."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from svc import cli, errors
from svc.bus import api, connection, memory, page, subjects
from svc.cli import ask, chat, reach
from svc.wire import base, characters, message, router

pytestmark = pytest.mark.anyio

FALLBACKS = characters.Fallbacks(failed=("No.",), busy=("Busy.",), unknown=("Dunno.",))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, an environment of its own, and no stack that runs."""
    monkeypatch.chdir(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUAHOG_")}
    monkeypatch.setattr(os, "environ", kept | {"QUAHOG_DATA": str(tmp_path / "data")})
    return tmp_path


def spoken(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize(("argv", "status"), [([], 2), (["--help"], 0), (["-h"], 0)])
def test_usage_names_every_command(argv: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == status
    out, err = spoken(capsys)
    assert out.startswith("usage: quahog COMMAND")
    assert err == ""
    for name, text in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert text in out


@pytest.mark.parametrize("name", ["nonsense", "../up", "__init__", "reach", "UP", "--nonsense"])
def test_an_unknown_command_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == cli.EXIT_USAGE
    out, err = spoken(capsys)
    assert out == ""
    assert err == f"quahog: there is no command {name!r}: see quahog --help\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    name, version = spoken(capsys)[0].split()
    assert name == "quahog"
    assert version.count(".") == 2


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_page_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    out, err = spoken(capsys)
    assert err == ""
    assert out.startswith(f"usage: quahog {name}")
    example = out.partition("example:\n")[2]
    assert example.strip().startswith(f"quahog {name}")
    assert importlib.import_module(f"svc.cli.{name}").EXAMPLE in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("argv", [["ask"], ["turn"], ["ask", "peter"], ["up", "--nonsense"], ["run"]])
def test_wrong_usage_is_status_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    assert left.value.code == cli.EXIT_USAGE
    assert "usage:" in spoken(capsys)[1]


@pytest.mark.parametrize(
    "argv", [["ask", "peter", "Hi"], ["turn", "abc"], ["tail"], ["chat"]], ids=lambda argv: str(argv[0])
)
def test_without_a_stack_it_says_how_to_start_one(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == cli.EXIT_FAILED
    out, err = spoken(capsys)
    assert out == ""
    assert err.startswith(f"quahog {argv[0]}: no stack is running on ")
    assert "quahog up" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [["turn", "a.b"], ["turn", "*"], ["tail", "--turn", ">"], ["turn", ""]])
def test_what_is_no_turn_id_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == cli.EXIT_FAILED
    assert "is not a turn id" in spoken(capsys)[1]


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("svc.cli.subjects"), "run", interrupted)
    assert cli.main(["subjects"]) == cli.EXIT_INTERRUPTED


def test_subjects_prints_writes_and_checks(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["subjects"]) == 0
    assert spoken(capsys)[0] == page.render()
    assert cli.main(["subjects", "--check"]) == cli.EXIT_FAILED
    assert "quahog subjects --write" in spoken(capsys)[1]
    assert cli.main(["subjects", "--write"]) == 0
    assert (alone / "subjects.md").read_text(encoding="utf-8") == page.render()
    assert cli.main(["subjects", "--check"]) == 0
    (alone / "subjects.md").write_text("stale", encoding="utf-8")
    assert cli.main(["subjects", "--check"]) == cli.EXIT_FAILED


def test_dotenv_is_read_and_the_shell_wins(alone: Path) -> None:
    (alone / ".env").write_text("QUAHOG_ONE=file\nQUAHOG_TWO=file\nQUAHOG_EMPTY=file\n", encoding="utf-8")
    os.environ |= {"QUAHOG_ONE": "shell", "QUAHOG_EMPTY": ""}
    assert cli.main(["subjects"]) == 0
    assert (os.environ["QUAHOG_ONE"], os.environ["QUAHOG_TWO"]) == ("shell", "file")
    assert os.environ["QUAHOG_EMPTY"] == ""


def test_a_bad_dotenv_is_named(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone / ".env").write_text("A=1\nDISCORD TOKEN hunter2\n", encoding="utf-8")
    assert cli.main(["subjects"]) == cli.EXIT_FAILED
    err = spoken(capsys)[1]
    assert ".env:2: expected KEY=value" in err
    assert "hunter2" not in err


def test_the_address_is_the_option_then_the_environment_then_the_data_folder(alone: Path) -> None:
    args = argparse.Namespace(nats="nats://option", data=None)
    os.environ["QUAHOG_NATS_URL"] = "nats://environment"
    assert reach.url(args) == "nats://option"
    args.nats = None
    assert reach.url(args) == "nats://environment"
    del os.environ["QUAHOG_NATS_URL"]
    with pytest.raises(errors.ConfigError, match=str(alone / "data")):
        reach.url(args)
    args.data = alone / "elsewhere"
    with pytest.raises(errors.ConfigError, match="elsewhere"):
        reach.url(args)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2003"])
def test_nothing_is_not_sent(text: str) -> None:
    with pytest.raises(errors.ConfigError, match="no words"):
        ask.clean(text)


def test_a_message_has_a_longest_length() -> None:
    longest = "é" * router.TEXT_CHARS_MAX
    assert ask.clean(longest) == longest
    with pytest.raises(errors.ConfigError, match=f"{router.TEXT_CHARS_MAX + 1} characters"):
        ask.clean(longest + "!")
    assert ask.clean(" {braces} %s ") == " {braces} %s "


class Told(Exception):
    """Carries what the router was asked."""


class Listening(connection.Connection):
    """A bus that only notes a call."""

    async def call(self, *args: object, **named: object) -> object:  # type: ignore[override]
        raise Told(args, named)


@pytest.mark.parametrize("name", ["peter", "Peter"])
async def test_a_question_is_asked_under_the_id_of_its_turn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the request doesn't show among what belongs to the turn."""

    @contextlib.asynccontextmanager
    async def bus(_args: argparse.Namespace) -> AsyncIterator[Listening]:
        yield Listening(memory.Memory(), "test")

    monkeypatch.setattr(reach, "bus", bus)
    args = argparse.Namespace(character=name, text="Beer, {x}?", channel="bar", name="Ann")
    with pytest.raises(Told) as told:
        await ask.ask(args)
    (_, _, request, _), named = told.value.args
    assert isinstance(request, router.OrchestrateRequest)
    assert (request.character, request.text, request.channel) == ("peter", "Beer, {x}?", "bar")
    assert named["turn"] == subjects.turn_id("http", request.native, "peter")


class Keyboard:
    """A person at the prompt: `lines` are typed one after the other, then the input ends."""

    def __init__(self, *lines: str) -> None:
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{line}\n" for line in lines).encode())
        os.close(writing)
        self.stdin = io.TextIOWrapper(os.fdopen(reading, "rb"), encoding="utf-8")


async def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[message.Heard]:
    """What reaches the bus when somebody types this at the prompt."""
    keyboard = Keyboard(*lines)
    monkeypatch.setattr(sys, "stdin", keyboard.stdin)
    bus = connection.Connection(memory.Memory(), "test")
    packs = tuple(
        characters.Pack(id=name, name=name.title(), summary="s", fallbacks=FALLBACKS)
        for name in ("peter", "brian")
    )
    terminal = chat.Terminal(bus, packs, "console-terminal", "Ann")
    try:
        with anyio.fail_after(5):
            await terminal.read()
    finally:
        keyboard.stdin.close()
    stored: list[api.Message] = await bus.broker.latest("RECORD", ["evt.message.heard.>"])
    return [base.decode(one.data, message.Heard) for one in stored]


async def test_chat_sends_what_is_typed_to_whom_it_was_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = await typed(
        monkeypatch, "Hi {all}", "", "/with BRIAN", "Books?", "/with all", "Bye", "/quit", "too late"
    )
    assert [(one.text, one.to) for one in said] == [("Hi {all}", ()), ("Books?", ("brian",)), ("Bye", ())]
    assert {(one.surface, one.channel, one.author.name) for one in said} == {
        ("console", "console-terminal", "Ann")
    }
    assert len({one.message for one in said}) == 3
    assert chat.HELP.split(".")[0] in spoken(capsys)[0]


async def test_a_mistake_at_the_prompt_is_told_and_the_chat_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = await typed(monkeypatch, "/with nobody", "/nonsense", "/turn", "still here")
    assert [one.text for one in said] == ["still here"]
    out = spoken(capsys)[0]
    assert "'nobody' isn't here: peter, brian are" in out
    assert "nothing was answered yet" in out


async def test_a_line_too_long_is_told_and_the_chat_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = await typed(monkeypatch, "x" * (router.TEXT_CHARS_MAX + 1), "still here")
    assert [one.text for one in said] == ["still here"]
    assert f"at most {router.TEXT_CHARS_MAX}" in spoken(capsys)[0]
