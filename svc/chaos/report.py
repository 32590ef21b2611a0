"""What a run found, as it is printed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From accepted to shown, in milliseconds."""

    p50: float
    p95: float
    max: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Turns are counted, not messages: one for each character that owes a message an answer."""

    seed: int
    mode: str
    """`kill`, `hang` or `cut` (kills and a power cut)."""
    turns: int
    """Offered."""
    accepted: int
    answered: int
    """Shown to the person who asked."""
    lost: int
    """Accepted and never shown."""
    duplicated: int
    """Answered more than once."""
    strays: int
    """Posts nobody had asked for."""
    outcomes: dict[str, int]
    """What the record says about the accepted turns."""
    undecided: int
    """Accepted turns without an outcome, or with more than one."""
    generations_per_attempt_max: int
    """Generations that the engine completed for the same attempt of the same turn."""
    generations: int
    reloaded: int
    """Answers that no open page showed, only one that was loaded anew."""
    kills: int
    kills_by_part: dict[str, int]
    cut_bytes: dict[str, int]
    """Stream -> bytes that the power cut took."""
    unsettled: dict[str, int]
    """Queue group -> messages that were still queued or in progress at the end."""
    dead: int
    """Dead letters."""
    seconds: float
    """From the first message offered until every queue was empty."""
    latency_ms: Latency
    broker_back_s: tuple[float, ...]
    """From the broker answering again to the next answer shown, once for every time it was struck."""
    lost_turns: tuple[str, ...]
    duplicated_turns: tuple[str, ...]
    data: str = ""
    """The data folder, where it was kept."""

    @property
    def is_sound(self) -> bool:
        """Everything accepted was answered exactly once."""
        return not (self.lost or self.duplicated or self.strays or self.undecided)


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles by the nearest rank; zeros when there is nothing."""
    ordered = sorted(seconds) or [0.0]
    return Latency(p50=_rank(ordered, 50), p95=_rank(ordered, 95), max=_rank(ordered, 100))


def _rank(ordered: Sequence[float], percent: int) -> float:
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)] * 1000, 1)


def returns(back_at: Sequence[float], shown_at: Sequence[float]) -> tuple[float, ...]:
    """From each return of the broker to the next answer, in seconds; none for one that nothing followed."""
    waits = (min((at - back for at in shown_at if at > back), default=None) for back in back_at)
    return tuple(round(wait, 3) for wait in waits if wait is not None)
