"""The gate: may this be said? Hard stops first, then five parts, then the threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio
import anyio.to_thread

from svc import cache, embedding
from svc.quality import (
    authenticity,
    engagement,
    flow,
    hallucination,
    meaning,
    score,
    settings,
    stops,
    threshold,
    toxicity,
    troupe,
)
from svc.quality.case import Case, Meaning, Scene
from svc.wire import characters, quality

VERSION = "1"
"""Part of every cache key: raise it whenever the same reply might be judged differently."""

Judge = Callable[[Case, Meaning], score.Score]

BELOW_FLOOR = {
    "authenticity": "is out of character",
    "flow": "doesn't answer what was said",
    "engagement": "is too dull",
    "hallucination": "claims what nobody knows",
    "toxicity": "is abusive",
}


class Gate:
    """Judges replies of one cast. Build it with `build`."""

    def __init__(
        self,
        cast: troupe.Troupe,
        judges: Mapping[settings.Part, Judge],
        meanings: meaning.Meanings,
        wanted: settings.Settings,
        heldout: float,
    ) -> None:
        self.cast = cast
        self.heldout = heldout
        """How often authenticity names the right speaker of a line it never saw, 0–1."""
        self._judges = judges
        self._meanings = meanings
        self._settings = wanted
        self._fingerprint = cache.digest(VERSION, cast.fingerprint, wanted)

    def knows(self, character: str) -> bool:
        return character in self.cast.packs

    def key(self, request: quality.AssessRequest, reply: str) -> str:
        """The cache key of one verdict: its hash covers everything the verdict depends on."""
        depends = cache.digest(
            self._fingerprint,
            reply,
            request.user,
            request.author,
            [(line.text, line.character, line.author.name, line.notice) for line in request.history],
            [passage.text for passage in request.passages],
            threshold.required(request.heard, request.kind, self._settings),
        )
        return f"qc:{depends}:{request.character}:{request.kind}"

    async def assess(self, request: quality.AssessRequest, replies: Sequence[str]) -> list[quality.Verdict]:
        """A verdict per reply, in order; the same for the same input. `request.character` must be known."""
        scene = Scene(request, self.cast)
        required = threshold.required(request.heard, request.kind, self._settings)
        verdicts: dict[int, quality.Verdict] = {}
        standing: dict[int, Case] = {}
        for index, reply in enumerate(replies):
            case = Case(scene, reply)
            if stop := stops.on_text(case):
                verdicts[index] = _stopped(*stop, required)
            else:
                standing[index] = case
        if standing:
            known = await self._meanings.of(scene, list(standing.values()))
            judged: dict[int, tuple[Case, Meaning]] = {}
            for (index, case), vectors in zip(standing.items(), known, strict=True):
                if stop := stops.on_meaning(case, vectors):
                    verdicts[index] = _stopped(*stop, required)
                else:
                    judged[index] = (case, vectors)
            scores = await self._scores(list(judged.values()))
            for position, index in enumerate(judged):
                verdicts[index] = self._verdict({part: scores[part][position] for part in scores}, required)
        return [verdicts[index] for index in range(len(replies))]

    async def _scores(self, judged: Sequence[tuple[Case, Meaning]]) -> dict[settings.Part, list[score.Score]]:
        """Every part over every reply, the parts side by side in threads."""
        found: dict[settings.Part, list[score.Score]] = {}

        async def run(part: settings.Part) -> None:
            found[part] = await anyio.to_thread.run_sync(partial(_all, self._judges[part], judged))

        async with anyio.create_task_group() as group:
            for part in settings.PARTS:
                group.start_soon(run, part)
        return {part: found[part] for part in settings.PARTS}

    def _verdict(self, scores: Mapping[settings.Part, score.Score], required: float) -> quality.Verdict:
        components = tuple(
            quality.Component(
                name=part,
                score=found.points,
                weight=self._settings.weight(part),
                floor=self._settings.floor(part),
                found=found.found,
            )
            for part, found in scores.items()
        )
        total = round(sum(component.score * component.weight for component in components), 1)
        # The part furthest below its floor names the stop; toxicity outranks the others.
        below = sorted(
            (component for component in components if component.score < component.floor),
            key=lambda component: (component.name != "toxicity", component.score - component.floor),
        )
        if below:
            worst = below[0]
            return quality.Verdict(
                accepted=False,
                score=total,
                threshold=required,
                components=components,
                stop=f"{worst.name}_floor",
                reason=f"the reply {BELOW_FLOOR[worst.name]}: {_because(worst)}",
            )
        if total < required:
            weakest = max(components, key=lambda component: component.weight * (100 - component.score))
            return quality.Verdict(
                accepted=False,
                score=total,
                threshold=required,
                components=components,
                reason=f"scored {total:g}, needs {required:g}; weakest is {weakest.name} "
                f"({weakest.score:g}): {_because(weakest)}",
            )
        return quality.Verdict(accepted=True, score=total, threshold=required, components=components)


def build(packs: Sequence[characters.Pack], embedder: embedding.Embedder, wanted: settings.Settings) -> Gate:
    """Learn the cast. Blocking, one to two seconds for a cast of three; run it in a thread."""
    cast = troupe.assemble(packs)
    said = {pack.id: troupe.spoken(pack) for pack in packs}
    spoken = [line for lines in said.values() for line in lines]
    neutral = troupe.neutral()
    texts = list(
        dict.fromkeys((*spoken, *neutral, *(line for kind in toxicity.prototypes() for line in kind)))
    )
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    voice = authenticity.learn({**said, authenticity.NEUTRAL: neutral}, vectors)
    manners = toxicity.learn(spoken, vectors)
    judges: dict[settings.Part, Judge] = {
        "authenticity": voice.judge,
        "flow": flow.judge,
        "engagement": engagement.judge,
        "hallucination": hallucination.judge,
        "toxicity": manners.judge,
    }
    return Gate(cast, judges, meaning.Meanings(embedder), wanted, voice.voices.heldout)


def best(verdicts: Sequence[quality.Verdict]) -> int:
    """Index of the reply to prefer: accepted before refused, scored before stopped, then the higher score."""
    return max(
        range(len(verdicts)),
        key=lambda index: (verdicts[index].accepted, not verdicts[index].stop, verdicts[index].score, -index),
        default=0,
    )


def _all(judge: Judge, judged: Sequence[tuple[Case, Meaning]]) -> list[score.Score]:
    return [judge(case, vectors) for case, vectors in judged]


def _stopped(name: str, reason: str, required: float) -> quality.Verdict:
    return quality.Verdict(
        accepted=False, score=0.0, threshold=required, stop=name, reason=f"the reply {reason}"
    )


def _because(component: quality.Component) -> str:
    return "; ".join(component.found) or "no reason given"
