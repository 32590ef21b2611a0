"""What an attempt does differently from the one before: a retry that repeats itself fails again.

Attempts 1–3 (standard) change opener and temperature, 4–6 (enhanced) add the guidance of tuning and drop
examples that didn't help, 7–10 (aggressive) also shorten the history to the point at hand and take the
character's own guidance. The openers' order comes from the turn's id, so a replay uses the same ones. No seed
is set: a seeded request gives up the engine's prefix cache, and the drafts are recorded anyway.
"""

from __future__ import annotations

import dataclasses
import random

import msgspec

from svc import retry
from svc.router import settings
from svc.wire import characters, tuning

WARMER = (0.0, 0.1, -0.25)
"""Added to the temperature, by attempt modulo three: as advised, a little wilder, then clearly tamer."""
TEMPERATURE = 0.8
"""Where a pack says nothing."""
TEMPERATURE_MIN, TEMPERATURE_MAX = 0.05, 1.5
"""A step that would leave this range goes the other way."""
REMINDERS = 2
AGGRESSIVE_HISTORY = 2
"""Lines of history in the aggressive tier: a long one is what led the model astray."""
EXAMPLES_MIN = 2
CANDIDATES_MAX = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Variation:
    opener: str
    sampling: characters.Sampling
    examples: int
    lines: int
    guidance: tuple[str, ...]
    changed: tuple[str, ...]


def vary(
    turn: str, attempt: int, prompt: characters.Prompt, advice: tuning.Advice, options: settings.Settings
) -> Variation:
    """How attempt number `attempt` (from 1) is made. Pure."""
    tier = retry.tier(attempt)
    sampling = _merge(prompt.sampling, advice.sampling)
    changed = []
    if attempt > 1:
        changed.append("fresh draft, caches bypassed")
    opener = _opener(turn, attempt, prompt.openers)
    if opener and attempt > 1:
        changed.append(f"opener {opener!r}")
    if shift := WARMER[(attempt - 1) % len(WARMER)]:
        given = TEMPERATURE if sampling.temperature is None else sampling.temperature
        base = min(TEMPERATURE_MAX, max(TEMPERATURE_MIN, given))
        if not TEMPERATURE_MIN <= base + shift <= TEMPERATURE_MAX:
            shift = -shift
        temperature = round(base + shift, 2)
        sampling = msgspec.structs.replace(sampling, temperature=temperature)
        changed.append(f"temperature {temperature}")
    guidance = advice.guidance
    if tier == "aggressive":
        more = max(sampling.candidates or 1, min(CANDIDATES_MAX, (sampling.candidates or 1) + 2))
        sampling = msgspec.structs.replace(sampling, candidates=more)
        changed.append(f"{more} candidates")
        guidance = (*guidance, *_reminders(attempt, prompt.reminders))
    if guidance:
        changed.append(f"guidance ({len(guidance)})")
    lines, examples = options.router_history, options.router_examples
    if tier != "standard":
        examples = min(examples, max(EXAMPLES_MIN, examples - 1))
    if tier == "aggressive":
        lines = min(lines, AGGRESSIVE_HISTORY)
    return Variation(opener, sampling, examples, lines, guidance, tuple(changed))


def _opener(turn: str, attempt: int, openers: tuple[str, ...]) -> str:
    """A different one each attempt, in an order drawn once per turn."""
    if not openers:
        return ""
    order = list(openers)
    random.Random(turn).shuffle(order)
    return order[(attempt - 1) % len(order)]


def _reminders(attempt: int, reminders: tuple[str, ...]) -> tuple[str, ...]:
    """Two of the character's own rules of speech, others in every attempt."""
    start, count = attempt * REMINDERS, min(REMINDERS, len(reminders))
    return tuple(reminders[(start + index) % len(reminders)] for index in range(count))


def _merge(pack: characters.Sampling, advised: characters.Sampling) -> characters.Sampling:
    """Advice overrides the pack where it says anything."""
    overrides = {
        name: value for name in pack.__struct_fields__ if (value := getattr(advised, name)) is not None
    }
    return msgspec.structs.replace(pack, **overrides)
