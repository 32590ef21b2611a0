"""The numbers of the gate: the documented ones by default. `/config` on port 6003 shows those in force."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from svc import config, errors

Points = Annotated[float, Meta(ge=0.0, le=100.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=1)]
Part = Literal["authenticity", "flow", "engagement", "hallucination", "toxicity"]
PARTS: tuple[Part, ...] = ("authenticity", "flow", "engagement", "hallucination", "toxicity")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`QUAHOG_QUALITY_…`. Points are of 100."""

    quality_threshold_cold: Points = 30.0
    quality_threshold_warm: Points = 60.0
    quality_threshold_hot: Points = 75.0
    quality_warm_from: Count = 7
    """Messages heard from which a conversation is warm."""
    quality_hot_from: Count = 21
    """Messages heard from which it is hot."""
    quality_organic_extra: Points = 2.0
    """Added to the threshold when nobody asked."""

    quality_weight_authenticity: Share = 0.25
    quality_weight_flow: Share = 0.30
    quality_weight_engagement: Share = 0.20
    quality_weight_hallucination: Share = 0.20
    quality_weight_toxicity: Share = 0.05

    # A part below its floor refuses the reply whatever the total. Engagement and hallucination have none:
    # a dull line or a bold claim is no reason to stay silent. With the shipped cast, 2 of 100 lines held out
    # of training lie below the authenticity floor, and 75 of 100 lines of the other characters.
    quality_floor_authenticity: Points = 30.0
    quality_floor_flow: Points = 28.0
    quality_floor_toxicity: Points = 40.0

    def weight(self, part: Part) -> float:
        weights: dict[Part, float] = {
            "authenticity": self.quality_weight_authenticity,
            "flow": self.quality_weight_flow,
            "engagement": self.quality_weight_engagement,
            "hallucination": self.quality_weight_hallucination,
            "toxicity": self.quality_weight_toxicity,
        }
        return weights[part]

    def floor(self, part: Part) -> float:
        floors: dict[Part, float] = {
            "authenticity": self.quality_floor_authenticity,
            "flow": self.quality_floor_flow,
            "toxicity": self.quality_floor_toxicity,
        }
        return floors.get(part, 0.0)


def read() -> Settings:
    """The settings in force. Raises ConfigError when one is wrong or they don't fit together."""
    return checked(config.read(Settings))


def checked(found: Settings) -> Settings:
    """`found`, if its numbers fit together; raises ConfigError naming the variables otherwise."""
    total = sum(found.weight(part) for part in PARTS)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise errors.ConfigError(
            f"the five QUAHOG_QUALITY_WEIGHT_… add up to {total:g}: make them add up to 1"
        )
    if found.quality_warm_from >= found.quality_hot_from:
        raise errors.ConfigError(
            f"QUAHOG_QUALITY_HOT_FROM ({found.quality_hot_from}) must be larger than "
            f"QUAHOG_QUALITY_WARM_FROM ({found.quality_warm_from})"
        )
    return found
