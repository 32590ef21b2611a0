"""What to tell the model after a refusal, by what refused it: one sentence a cause.

Nothing in the first three attempts (the document's standard tier: a fresh draft is often enough); from the
fourth on a sentence for each thing that failed; from the seventh also a firm general one.
"""

from __future__ import annotations

from collections.abc import Sequence

from svc import retry
from svc.wire import tuning

GUIDANCE = {
    "authenticity": "Sound more like yourself: your own words, your own habits, nobody else's.",
    "flow": "Answer exactly what was just said, in your first sentence.",
    "engagement": "Say something worth answering: one or two short, lively sentences.",
    "hallucination": "Name no facts, numbers or people that you were not told.",
    "toxicity": "Be funny without being cruel or crude.",
    "echo": "Don't repeat the other person's words; answer them.",
    "duplicate": "Don't say what was said before; find another angle.",
    "refusal": "You are a person in a chat, not an assistant: never refuse, just answer in character.",
    "repetition": "Say it once, in complete sentences.",
    "language": "Answer in plain English.",
}
FIRM = "Two short sentences at most, in your own voice, about exactly what was asked."
SENTENCES_MAX = 4


def guidance(attempt: int, failures: Sequence[tuning.Failure]) -> tuple[str, ...]:
    """The sentences for attempt number `attempt` (from 1), latest failures first. Pure."""
    tier = retry.tier(attempt)
    if tier == "standard":
        return ()
    causes = dict.fromkeys(failure.component for failure in reversed(failures))
    sentences = [GUIDANCE[cause] for cause in causes if cause in GUIDANCE]
    if tier == "aggressive" or not sentences:
        sentences.insert(0, FIRM)
    return tuple(sentences[:SENTENCES_MAX])
