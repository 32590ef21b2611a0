"""What the model service counts, under Prometheus names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from svc.llm import engine

SMOOTHING = 0.2
"""Weight of the newest generation in the two speeds: they follow about the last five."""
COUNTED = (
    "generations",
    "drafts",
    "tokens",
    "prompt_tokens",
    "dropped_messages",
    "cache_hits",
    "coalesced",
    "deadline_passed",
    "errors",
    "truncated",
    "embedded_texts",
)
"""Each becomes `llm_<name>_total`."""


class Meters:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._first_token_ms = 0.0
        self._tokens_per_s = 0.0

    def add(self, name: str, amount: int = 1) -> None:
        self._counts[name] += amount

    def generated(self, made: engine.Drafts, dropped: int, first_token_ms: float, ms: float) -> None:
        """One generation: `ms` in all, all candidates together."""
        tokens = sum(draft.tokens for draft in made.drafts)
        self.add("generations")
        self.add("drafts", len(made.drafts))
        self.add("tokens", tokens)
        self.add("prompt_tokens", made.prompt_tokens)
        self.add("dropped_messages", dropped)
        self._first_token_ms = _smooth(self._first_token_ms, first_token_ms)
        if ms > first_token_ms:
            self._tokens_per_s = _smooth(self._tokens_per_s, tokens * 1000 / (ms - first_token_ms))

    def counters(self) -> Mapping[str, float]:
        return {f"llm_{name}_total": float(count) for name, count in self._counts.items()}

    def gauges(self) -> Mapping[str, float]:
        return {
            "llm_first_token_ms": round(self._first_token_ms, 1),
            "llm_tokens_per_s": round(self._tokens_per_s, 1),
        }


def _smooth(before: float, now: float) -> float:
    return before + SMOOTHING * (now - before) if before else now
