"""`quahog chaos`: what it refuses, and what it says at the end. Runs are in tests/e2e/test_chaos.py."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from svc import cli
from svc.chaos import report, trial
from svc.cli import chaos
from tests.unit.chaos import test_report


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--turns", "0"], "--turns 0 is wrong: use 1 to 10000"),
        (["--turns", "-5"], "--turns -5 is wrong"),
        (["--turns", "0", "--kills", "3"], "--turns 0 is wrong"),
        (["--kills", "-1"], "--kills -1 is wrong: use 0 to 1000"),
        (["--seed", "-1"], "--seed -1 is wrong"),
        (["--hang-s", "-2"], "--hang-s -2 is wrong"),
        (["--hang-s", "nan"], "--hang-s nan is wrong"),
        (["--hang-s", "3600"], "--hang-s 3600 is wrong: use 0 to 300"),
        (["--delay-ms", "-1"], "--delay-ms -1 is wrong"),
    ],
)
def test_a_number_that_makes_no_sense_is_named(
    argv: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["chaos", *argv]) == cli.EXIT_FAILED
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--turns", "many"], ["--hang-s", "5", "--cut"], ["--kill", "parts"]])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["chaos", *argv])
    assert ended.value.code == cli.EXIT_USAGE
    assert "usage: quahog chaos" in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "diary").touch()
    assert cli.main(["chaos", "--data", str(tmp_path)]) == cli.EXIT_FAILED
    assert (
        capsys.readouterr().err
        == f"quahog chaos: {tmp_path} is not an empty folder: name another one, or none\n"
    )


UNSOUND = msgspec.structs.replace(
    test_report.SOUND, answered=2, lost=1, lost_turns=("t9",), data="/tmp/kept", broker_back_s=(0.25,)
)


@pytest.mark.parametrize(
    ("found", "status"), [(test_report.SOUND, 0), (UNSOUND, 1)], ids=["sound", "unsound"]
)
def test_the_exit_status_tells_and_json_is_one_object(
    found: report.Report, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ran(_trial: trial.Trial) -> report.Report:
        return found

    monkeypatch.setattr(trial.Trial, "run", ran)
    assert cli.main(["chaos", "--json"]) == status
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out, type=report.Report) == found
    assert out.count("\n") == 1
    assert err == ""


def test_the_summary_says_what_went_wrong_and_where_to_look() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    chaos.show(UNSOUND, console)
    text = console.export_text()
    assert "NOT everything was answered exactly once: 2 of 3 accepted turns" in text
    assert "t9" in text
    assert "quahog up --no-console --data /tmp/kept" in text
    assert "0.25 s" in text
    assert "power cut" not in text


def test_the_summary_of_a_sound_run() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    chaos.show(test_report.SOUND, console)
    text = console.export_text()
    assert "nothing lost, nothing doubled: 3 of 3 accepted turns answered" in text
    assert "kept in" not in text
