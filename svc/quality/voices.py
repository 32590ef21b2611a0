"""Who would say this? A multinomial logistic regression over the cast and a neutral speaker.

Trained when the process starts, from what the packs hold, in well under a second: with some hundred lines
and thousands of features it is solved over the lines (the dual form), so every step is a small matrix.
The same lines always give the same model. Its probabilities are calibrated: the temperature is the one that
fits lines which were held out of training, and `heldout` is its honest accuracy on those.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from svc import embedding
from svc.quality import features

Floats = npt.NDArray[np.float64]

PENALTY = 0.3
"""L2 penalty on the weights; of 0.03 to 3, the best held-out likelihood."""
STEPS = 250
FOLDS = 5
TEMPERATURES = tuple(float(value) for value in np.geomspace(0.2, 3.0, 28))


@dataclasses.dataclass(frozen=True, slots=True)
class Voices:
    """A trained model."""

    labels: tuple[str, ...]
    weights: Floats
    """Shape (features, labels)."""
    centre: features.Matrix
    bias: Floats
    temperature: float
    heldout: float
    """Share of held-out lines given to the right speaker, 0–1."""

    def odds(self, lines: Sequence[str], meanings: embedding.Vectors) -> list[Mapping[str, float]]:
        """For every line, label -> probability. `meanings` are the lines' embeddings."""
        rows = features.matrix(lines, meanings) - self.centre
        chances = _softmax((rows @ self.weights + self.bias) / self.temperature)
        return [dict(zip(self.labels, map(float, row), strict=True)) for row in chances]


def train(lines: Sequence[str], labels: Sequence[str], meanings: embedding.Vectors) -> Voices:
    """Fit the model to `lines`, the i-th said by `labels[i]`. Needs two labels with FOLDS lines each."""
    names = tuple(dict.fromkeys(labels))
    raw = features.matrix(lines, meanings)
    centre = raw.mean(axis=0)
    rows = raw - centre
    kernel = (rows @ rows.T).astype(np.float64)
    index = np.array([names.index(label) for label in labels])
    wanted = np.eye(len(names))[index]
    held = _held_out(kernel, wanted, index)
    temperature = min(TEMPERATURES, key=lambda value: _loss(held / value, index))
    dual, bias = _fit(kernel, wanted)
    return Voices(
        labels=names,
        weights=rows.T.astype(np.float64) @ dual,
        centre=centre,
        bias=bias,
        temperature=temperature,
        heldout=float((held.argmax(axis=1) == index).mean()),
    )


def _held_out(kernel: Floats, wanted: Floats, index: npt.NDArray[np.int64]) -> Floats:
    """Scores of every line by a model that never saw it."""
    place = np.zeros(len(index), dtype=np.int64)
    for label in np.unique(index):
        mine = np.flatnonzero(index == label)
        place[mine] = np.arange(len(mine)) % FOLDS
    scores = np.zeros_like(wanted)
    for fold in range(FOLDS):
        test, rest = np.flatnonzero(place == fold), np.flatnonzero(place != fold)
        dual, bias = _fit(kernel[np.ix_(rest, rest)], wanted[rest])
        scores[test] = kernel[np.ix_(test, rest)] @ dual + bias
    return scores


def _fit(kernel: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Nesterov's accelerated descent on the dual weights; every label counts the same, however many lines."""
    per_line = (wanted / np.maximum(wanted.sum(axis=0), 1)).sum(axis=1, keepdims=True)
    per_line *= len(wanted) / per_line.sum()
    # The loss curves at most half as much as the kernel's largest eigenvalue, which its row sums bound.
    step = 1.0 / (PENALTY + 0.5 * float(per_line.max()) * float(np.abs(kernel).sum(axis=1).max()))
    dual, bias = np.zeros_like(wanted), np.zeros(wanted.shape[1])
    ahead = dual
    for count in range(STEPS):
        error = per_line * (_softmax(kernel @ ahead + bias) - wanted)
        moved = ahead - step * (error + PENALTY * ahead)
        ahead = moved + count / (count + 3) * (moved - dual)
        dual = moved
        bias = bias - error.mean(axis=0)
    return dual, bias


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances: Floats = raised / raised.sum(axis=1, keepdims=True)
    return chances


def _loss(scores: Floats, index: npt.NDArray[np.int64]) -> float:
    chances = _softmax(scores)
    return float(-np.log(chances[np.arange(len(index)), index] + 1e-12).mean())
