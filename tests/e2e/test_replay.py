"""A turn of the real stack, replayed: identical on the record, and what-ifs show what they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import stacks

SAME, DIFFERS = 0, 3


@pytest.fixture(scope="module")
def answered(stack: stacks.Stack) -> dict[str, Any]:
    return stack.ask("brian", "Do you like a good martini?")


def replayed(stack: stacks.Stack, *words: str, status: int) -> dict[str, Any]:
    done = stack.quahog("replay", *words, "--json")
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def differing(found: dict[str, Any]) -> list[str]:
    return [f"{step['service']}.{step['method']}" for step in found["steps"] if not step["same"]]


def test_a_replay_is_identical(stack: stacks.Stack, answered: dict[str, Any]) -> None:
    found = replayed(stack, answered["turn"], status=SAME)
    assert found["identical"]
    assert found["now"] == found["before"]
    assert {"prompt", "search", "advise", "generate", "assess"} <= {step["method"] for step in found["steps"]}


def test_an_exported_turn_replays_without_a_stack(
    stack: stacks.Stack, answered: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "turn.jsonl"
    assert stack.quahog("export", answered["turn"], "--output", str(file)).returncode == 0
    piped = stack.quahog("export", answered["turn"])
    assert piped.stdout.encode() == file.read_bytes()
    elsewhere = stacks.Stack(tmp_path / "nothing-runs-here")
    assert replayed(elsewhere, str(file), status=SAME)["identical"]


def test_another_temperature_changes_what_the_model_is_asked(
    stack: stacks.Stack, answered: dict[str, Any]
) -> None:
    found = replayed(stack, answered["turn"], "--set", "temperature=0.11", status=DIFFERS)
    assert set(differing(found)) == {"llm.generate"}
    shown = stack.quahog("replay", answered["turn"], "--set", "temperature=0.11").stdout
    assert "request.sampling.temperature" in shown
    assert "0.11" in shown


def test_the_gate_asked_for_real_says_what_it_said(stack: stacks.Stack, answered: dict[str, Any]) -> None:
    found = replayed(stack, answered["turn"], "--live", "quality", status=SAME)
    assert [step["method"] for step in found["steps"] if step["live"]] == ["assess"] * answered["attempts"]


def test_an_hour_of_turns(stack: stacks.Stack, answered: dict[str, Any]) -> None:
    every = replayed(stack, "--since", "1h", status=SAME)
    assert every["turns"] == every["identical"] >= 1
    judged = replayed(stack, "--since", "1h", "--live", "quality", status=SAME)
    assert judged["judged"] == judged["unchanged"] >= 1


def test_nothing_that_was_replayed_was_said(stack: stacks.Stack, answered: dict[str, Any]) -> None:
    assert stack.turn(answered["turn"])["posted"] == 1
