"""`quahog dead`: what people see, and what becomes of what they mistype."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest

from svc import cli
from svc.bus import api, broker, connection, dead, memory, middleware, subjects
from svc.cli import doctor, reach
from svc.wire import base, envelope, message, tuning


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> connection.Connection:
    """The bus that the command reaches."""
    made = connection.Connection(memory.Memory(), "test")

    @contextlib.asynccontextmanager
    async def reached(_args: argparse.Namespace) -> AsyncIterator[connection.Connection]:
        yield made

    monkeypatch.setattr(reach, "bus", reached)
    monkeypatch.setenv("COLUMNS", "100")
    return made


def bury(bus: connection.Connection, subject: str, body: bytes, reason: str = "no") -> int:
    async def work() -> int:
        await bus.broker.append(subject, body, {"traceparent": "00-trace"})
        stored = await bus.last(subject)
        assert stored is not None
        await middleware.bury(bus.broker, broker.Delivery(stored, 3, "token"), ValueError(reason))
        return [letter async for letter in dead.letters(bus)][-1].number

    return anyio.run(work)


def left(bus: connection.Connection) -> int:
    return anyio.run(dead.count, bus.broker)


def quahog(*words: str) -> int:
    return cli.main(["dead", *words])


HEARD = base.encode(
    message.Heard(
        message="m1", native="1", surface="console", channel="c", author=message.Author(id="1"), text="Hi"
    )
)
ASKED = base.encode(tuning.AdviseRequest(character="peter"))


def two(bus: connection.Connection) -> tuple[int, int]:
    return (
        bury(bus, subjects.event("message", "heard", "m1"), HEARD, "the first line\nand a second"),
        bury(bus, subjects.request("tuning", "advise", "t1"), ASKED),
    )


def test_nothing_there(bus: connection.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("list",), ("retry", "--all"), ("drop", "--all")):
        assert quahog(*words) == 0
        assert capsys.readouterr().out == "no dead letters\n"
    assert quahog("--json") == 0
    assert capsys.readouterr().out == '{"letters":[]}\n'
    assert left(bus) == 0


def test_the_list_has_a_line_a_letter_newest_last(
    bus: connection.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two(bus)
    assert quahog() == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["#", "buried", "subject", "tries", "reason"]
    assert [line.split()[0] for line in lines] == [str(first), str(second)]
    assert "evt.message.heard.m1.0" in lines[0]
    assert lines[0].rstrip().endswith("3  ValueError: the first line")
    assert quahog("list", "--json") == 0
    letters = msgspec.json.decode(capsys.readouterr().out)["letters"]
    assert [letter["number"] for letter in letters] == [first, second]
    assert letters[1]["letter"]["body"] == ASKED.decode()


def test_one_letter_is_shown_whole(bus: connection.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = two(bus)
    assert quahog("show", f"#{first}") == 0
    out = capsys.readouterr().out
    for expected in (
        "evt.message.heard.m1.0",
        "and a second",
        "traceparent: 00-trace",
        "delivered 3 times in RECORD",
    ):
        assert expected in out
    assert '  "text": "Hi"' in out.splitlines()
    assert quahog("show", str(first), "--json") == 0
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert base.decode(msgspec.json.encode(shown["letter"]), envelope.Dead).body == HEARD.decode()


def test_what_strangers_wrote_commands_no_terminal(
    bus: connection.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    number = bury(bus, "say.console.peter.t1.0", b"\x1b]0;owned\x07 [bold]not markup[/bold]", "\x1b[31mred")
    for words in ((), ("show", str(number))):
        assert quahog(*words) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\x07" not in out
    assert "[bold]not markup[/bold]" in out


def test_retried_and_said_where_the_answer_will_be(
    bus: connection.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two(bus)
    assert quahog("retry", str(second), "--json", str(first), str(second)) == 0
    done = msgspec.json.decode(capsys.readouterr().out)["letters"]
    assert [(one["number"], one["done"]) for one in done] == [(second, "retried"), (first, "retried")]
    assert done[0]["answer"] == "rep.tuning.advise.t1.0-r1"
    assert left(bus) == 0
    bury(bus, subjects.request("tuning", "advise", "t2"), ASKED)
    assert quahog("retry", "--all") == 0
    out = capsys.readouterr().out
    assert "stored again as req.tuning.advise.t2.0-r1" in out
    assert "rep.tuning.advise.t2.0-r1: `quahog turn t2` shows it" in out


def test_what_cannot_be_tried_again_is_said_and_the_rest_goes_on(
    bus: connection.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two(bus)
    assert quahog("retry", "999", str(first)) == cli.EXIT_FAILED
    out = capsys.readouterr().out
    assert "there is no dead letter #999: `quahog dead list` shows those there are" in out
    assert f"#{first} stored again as evt.message.heard.m1.0" in out
    assert quahog("drop", str(first), str(second)) == cli.EXIT_FAILED
    assert f"#{second} dropped" in capsys.readouterr().out
    assert left(bus) == 0


def test_what_is_expired_is_said(bus: connection.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    say = message.Say(
        turn="t1", surface="console", channel="c", character="peter", text="x", expires_at=time.time() - 90
    )
    number = bury(bus, subjects.say("console", "peter", "t1"), base.encode(say))
    assert quahog("retry", str(number)) == 0
    assert "nobody has wanted it for 90 s: it is recorded as undelivered" in capsys.readouterr().out


def test_only_the_old_ones_are_dropped(
    bus: connection.Connection, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = two(bus)
    stored = anyio.run(bus.broker.read, "DEAD", first)
    assert stored is not None
    assert isinstance(bus.broker, memory.Memory)
    day_old = api.Message(stored.subject, stored.data, {}, "DEAD", first, time.time() - 90_000)
    monkeypatch.setitem(bus.broker._streams["DEAD"], first, day_old)
    assert quahog("drop", "--all", "--older", "1d") == 0
    assert capsys.readouterr().out == f"#{first} dropped\n"
    assert left(bus) == 1
    assert quahog("retry", "--all", "--older", "1d") == 0
    assert capsys.readouterr().out == "no dead letters older than 1d\n"
    assert quahog("drop", "--all") == 0
    assert left(bus) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "abc"], "'abc' is not the number of a letter"),
        (["show", "-1"], "'-1' is not the number"),
        (["show", "1.5"], "'1.5' is not the number"),
        (["show", "9" * 19], "is not the number"),
        (["show"], "show takes one number"),
        (["show", "1", "2"], "show takes one number"),
        (["list", "1"], "list takes no number"),
        (["list", "--all"], "--all and --older are for retry and drop"),
        (["retry"], "name the letters to retry by number, or use --all"),
        (["drop", "1", "--all"], "name the letters to drop by number, or use --all"),
        (["drop", "1", "--older", "1d"], "--older goes with --all"),
        (["drop", "--all", "--older", "soon"], "--older wants a number and s, m, h or d"),
        (["bury", "1"], ""),
    ],
)
def test_what_makes_no_sense_is_said(
    bus: connection.Connection, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    two(bus)
    if said:
        assert quahog(*words) == cli.EXIT_FAILED
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    else:
        with pytest.raises(SystemExit):
            quahog(*words)
        assert "usage:" in capsys.readouterr().err
    assert left(bus) == 2


def test_there_is_no_such_letter(bus: connection.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    assert quahog("show", "7") == cli.EXIT_FAILED
    assert capsys.readouterr().err.startswith("quahog dead: there is no dead letter #7: `quahog dead list`")
    assert left(bus) == 0


def test_the_doctor_notes_them() -> None:
    assert doctor.letters(0).level == "ok"
    noted = doctor.letters(3)
    assert (noted.level, noted.detail, noted.remedy) == ("note", "3", "`quahog dead` lists them")
