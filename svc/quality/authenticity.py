"""Authenticity: would this character say it so? Measured against everyone else who might have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from svc import embedding
from svc.quality import score, voices
from svc.quality.case import Case, Meaning

NEUTRAL = "an assistant"
"""The class that is nobody of the cast."""
MARKER_NUDGE = 0.3
"""Log-odds for each catchphrase, at most MARKERS_MAX: anyone can say "holy crap", so they never decide."""
MARKERS_MAX = 2
LINES_MIN = voices.FOLDS
"""A character with fewer lines can't be learned; it is judged as if it might be anyone."""
UNKNOWN_POINTS = 60.0
SURE = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Authenticity:
    voices: voices.Voices

    def judge(self, case: Case, meaning: Meaning) -> score.Score:
        """100·√(p / (p + strongest rival's p)): 71 for a tie, whatever the size of the cast."""
        own = case.scene.pack.id
        if own not in self.voices.labels:
            return score.clamped(UNKNOWN_POINTS, ("too few lines in the pack to know the voice",))
        odds = dict(self.voices.odds([case.text], meaning.reply[None, :])[0])
        markers = [marker for marker in case.scene.pack.markers if marker in case.text.lower()][:MARKERS_MAX]
        odds[own] *= math.exp(MARKER_NUDGE * len(markers))
        rival = max((label for label in odds if label != own), key=odds.__getitem__)
        share = odds[own] / (odds[own] + odds[rival])
        names = {pack.id: pack.name for pack in case.scene.cast.packs.values()}
        found = [
            f"sounds like {names[own]} ({share:.0%} against {names.get(rival, rival)})"
            if share >= SURE
            else f"sounds more like {names.get(rival, rival)} than {names[own]} ({share:.0%})"
        ]
        if markers:
            found.append(f"says {', '.join(repr(marker) for marker in markers)}")
        return score.clamped(100 * math.sqrt(share), found)


def learn(said: Mapping[str, Sequence[str]], vectors: Mapping[str, embedding.Vectors]) -> Authenticity:
    """Train on what everybody says, label -> lines, whose embeddings are in `vectors`; 0.3 s for 400 lines.

    The same lines give the same model.
    """
    lines: list[str] = []
    labels: list[str] = []
    for label, spoken in said.items():
        if len(spoken) >= LINES_MIN:
            lines += spoken
            labels += [label] * len(spoken)
    return Authenticity(voices.train(lines, labels, np.stack([vectors[line] for line in lines])))
