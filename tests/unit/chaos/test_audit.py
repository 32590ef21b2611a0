"""Generations are counted from the engine's own log."""

from __future__ import annotations

from pathlib import Path

from svc.chaos import audit
from svc.llm import engine, instant
from svc.wire import characters


def log(file: Path, turn: str, n: str, method: str) -> None:
    sampling = characters.Sampling()
    ask = engine.Ask(messages=(), sampling=sampling, turn=turn, n=n, method=method)
    instant._append(file, ask, "Hehehe")


def test_what_the_engine_writes_is_counted_by_turn_and_attempt(tmp_path: Path) -> None:
    file = tmp_path / "generations.jsonl"
    for turn, n, method in (("t1", "1", "generate"), ("t1", "1", "banter"), ("t1", "2", "generate")):
        log(file, turn, n, method)
    assert audit.generations(file) == {("t1", "1"): 2, ("t1", "2"): 1}


def test_no_log_means_no_generation(tmp_path: Path) -> None:
    assert audit.generations(tmp_path / "generations.jsonl").total() == 0
