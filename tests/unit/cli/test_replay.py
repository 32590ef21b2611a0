"""`quahog replay`: what it accepts, and what a person sees of a difference."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from svc import cli, errors
from svc.cli import age, sidebyside
from svc.router import replay, rescore, settings, whatif
from svc.wire import characters, tuning
from tests.unit.cli import recorded


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a turn"),
        (["t1", "--since", "1h"], "one of them"),
        (["--since", "soon"], "--since wants a number"),
        (["--since", "1h", "--live", "llm"], "only the gate"),
        (["--since", "1h", "--set", "seed=1"], "ask about one turn"),
        (["t1", "--live", "discord"], "--live knows no discord"),
        (["not/an/id"], "is not a turn id"),
        (["missing.jsonl"], "can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_said(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUAHOG_NATS_URL", "nats://127.0.0.1:1")
    assert cli.main(["replay", *words]) == cli.EXIT_FAILED
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800.0), ("1.5h", 5400.0), ("90s", 90.0), ("1d", 86400.0)]
)
def test_ages(text: str, seconds: float) -> None:
    assert age.seconds("--since", text) == seconds


def test_a_sampling_name_overrides_what_was_advised() -> None:
    options, edits = whatif.parse(["temperature=0.4", "router_passages=1"], settings.Settings())
    assert options.router_passages == 1
    kind, edit = edits["tuning", "advise"]
    assert kind is tuning.Advice
    advised = edit(b"null", tuning.Advice(arm="a", sampling=characters.Sampling(temperature=1.0, top_p=0.9)))
    assert advised == tuning.Advice(arm="a", sampling=characters.Sampling(temperature=0.4, top_p=0.9))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("temperature", "wants name=value"),
        ("colour=red", "choose from temperature"),
        ("temperature=hot", "Expected `float"),
        ("router_passages=99", "<= 10"),
    ],
)
def test_a_wrong_what_if_is_said(pair: str, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        whatif.parse([pair], settings.Settings())


def shown(done: replay.Replay) -> str:
    out = io.StringIO()
    sidebyside.show(done, Console(file=out, width=120, highlight=False))
    return out.getvalue()


def test_identical_is_said_in_a_line() -> None:
    text = shown(recorded.replayed(same=True))
    assert "identical: 1 steps and the outcome, byte for byte" in text
    assert "= llm.generate 1" in text


def test_a_difference_stands_in_two_columns() -> None:
    text = shown(recorded.replayed(same=False))
    assert "≠ llm.generate 1  would be asked differently" in text
    line = next(line for line in text.splitlines() if "request.sampling.temperature" in line)
    assert line.split()[1:] == ["0.9", "0.4"]
    assert "request.messages[0].content" in text


def test_where_it_stopped_is_said() -> None:
    text = shown(recorded.replayed(same=True, stopped="tuning.advise 2 was never asked"))
    assert "it stopped: tuning.advise 2 was never asked" in text


def test_the_summary_of_the_gate() -> None:
    change = rescore.Change(
        turn="t1",
        n="1",
        character="peter",
        text="Beer!",
        score=80.0,
        score_now=20.5,
        accepted=True,
        accepted_now=False,
        reason="dull",
    )
    out = io.StringIO()
    summary = rescore.Summary(judged=3, unchanged=2, now_refused=1, mean_change=-19.83, largest=[change])
    sidebyside.summary(summary, Console(file=out, width=120))
    text = out.getvalue()
    assert (
        "3 judgements: 2 unchanged, 1 would be refused now, 0 would pass now; score -19.83 on average" in text
    )
    assert "✓ 80.0" in text
    assert "✗ 20.5" in text
    empty = io.StringIO()
    sidebyside.summary(rescore.Summary(), Console(file=empty))
    assert empty.getvalue() == "nothing was judged in that time\n"
