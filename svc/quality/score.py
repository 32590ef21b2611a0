"""What one part of the gate says of one reply."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """0–100, and what led to it in words a person understands."""

    points: float
    found: tuple[str, ...] = ()


def clamped(points: float, found: Sequence[str] = ()) -> Score:
    return Score(round(min(100.0, max(0.0, points)), 1), tuple(found))


def along(value: float, curve: Sequence[tuple[float, float]]) -> float:
    """Points for a measured `value`: straight lines between the (value, points) corners of `curve`."""
    return float(np.interp(value, [at for at, _ in curve], [points for _, points in curve]))
