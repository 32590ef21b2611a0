"""The bar rises as a conversation goes on."""

from __future__ import annotations

from typing import Literal

import pytest

from svc import errors
from svc.quality import settings, threshold


@pytest.mark.parametrize(
    ("heard", "wanted"), [(0, 30.0), (6, 30.0), (7, 60.0), (20, 60.0), (21, 75.0), (1000, 75.0)]
)
def test_documented_steps(heard: int, wanted: float) -> None:
    kinds: tuple[tuple[Literal["user", "organic"], float], ...] = (("user", 0.0), ("organic", 2.0))
    for kind, extra in kinds:
        assert threshold.required(heard, kind, settings.Settings()) == wanted + extra


def test_documented_weights() -> None:
    weights = {part: settings.Settings().weight(part) for part in settings.PARTS}
    assert weights == {
        "authenticity": 0.25,
        "flow": 0.30,
        "engagement": 0.20,
        "hallucination": 0.20,
        "toxicity": 0.05,
    }


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAHOG_QUALITY_THRESHOLD_COLD", "41.5")
    monkeypatch.setenv("QUAHOG_QUALITY_WARM_FROM", "3")
    found = settings.read()
    assert threshold.required(2, "user", found) == 41.5
    assert threshold.required(3, "user", found) == 60.0


def test_weights_must_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAHOG_QUALITY_WEIGHT_FLOW", "0.5")
    with pytest.raises(errors.ConfigError, match=r"add up to 1\.2"):
        settings.read()


def test_warm_comes_before_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAHOG_QUALITY_HOT_FROM", "7")
    with pytest.raises(errors.ConfigError, match="QUAHOG_QUALITY_HOT_FROM"):
        settings.read()


def test_a_wrong_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAHOG_QUALITY_THRESHOLD_HOT", "180")
    with pytest.raises(errors.ConfigError, match="QUAHOG_QUALITY_THRESHOLD_HOT"):
        settings.read()
