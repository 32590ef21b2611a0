"""How good a reply must be: the more has been said, the more there is to go by, so the higher the bar."""

from __future__ import annotations

from typing import Literal

from svc.quality import settings


def required(heard: int, kind: Literal["user", "organic"], wanted: settings.Settings) -> float:
    """The score a reply needs: cold 30, warm 60, hot 75 by default; 2 more when nobody asked for it."""
    if heard >= wanted.quality_hot_from:
        base = wanted.quality_threshold_hot
    elif heard >= wanted.quality_warm_from:
        base = wanted.quality_threshold_warm
    else:
        base = wanted.quality_threshold_cold
    return base + (wanted.quality_organic_extra if kind == "organic" else 0.0)
