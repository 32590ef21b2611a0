"""Anti-toxicity: nothing that threatens, degrades or hounds anybody. Crude is fine; cruel is not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import glin_profanity
import numpy as np

from svc import embedding
from svc.quality import score
from svc.quality.case import Case, Meaning

PROTOTYPES_FILE = Path(__file__).with_name("toxicity.txt")
NEAREST = 2
"""Prototypes whose mean nearness counts."""
MARGIN = ((-0.10, 100.0), (0.05, 92.0), (0.15, 65.0), (0.25, 35.0), (0.40, 10.0))
"""Nearness to toxic minus nearness to harmless prototypes -> points."""
NEAR_MIN = 0.38
"""Less near than this to anything toxic, and the margin says nothing."""

MILD_POINTS = 10.0
STRONG_POINTS = 25.0
PROFANE_MAX = 45.0
"""Swearing alone costs this at most: it never reaches the floor."""

STRONG = re.compile(r"fuck|shit|cunt|cock|pussy|whore|slut|dick|twat|wank", re.IGNORECASE)
SLUR = re.compile(
    r"n[i1!]gg(?:[e3]r|a)|f[a@]gg?[o0]t|\bfags?\b|k[i1]ke\b|\bsp[i1]cs?\b|\bch[i1]nks?\b|wetback"
    r"|tr[a@]nn(?:y|ies)|\bdykes?\b|"
    r"\bcoons?\b|\bgooks?\b|raghead|towelhead|\bpak[i1]s?\b|\bretard(?:s|ed)?\b|shemale|beaner|\bgyppo",
    re.IGNORECASE,
)
GROUP = (
    r"(?:jews?|muslims?|christians?|blacks?|black people|whites?|white people|asians?|mexicans?|immigrants?"
    r"|refugees?|"
    r"gays?|gay people|lesbians?|trans(?:gender)? people|women|girls|arabs?|gypsies|foreigners"
    r"|disabled people|"
    r"old people|poor people)"
)
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"\b(?:kill|hang|shoot|cut|hurt|harm) (?:yourself|yourselves|urself)\b|\bkys\b"
            r"|\bend your (?:own )?life\b|"
            r"\b(?:you should|go|just) (?:go )?die\b(?! laughing| of)|\bcommit suicide\b"
            r"|\bnobody would miss you\b",
            re.IGNORECASE,
        ),
        "urges to self-harm",
    ),
    (
        re.compile(
            r"\b(?:i'll|i will|i'm going to|i'm gonna|gonna|i am going to|i shall|we'll|we will"
            r"|i want to) (?:\w+ ){0,2}"
            r"(?:kill|murder|rape|stab|shoot|strangle|behead|burn|beat up) "
            r"(?:you(?! with kindness)|u|your (?:family|kids|mother|children|parents))\b|"
            r"\bi know where you live\b|\bwatch your back\b|\byou(?:'re| are) (?:a )?dead (?:man|woman"
            r"|meat)\b",
            re.IGNORECASE,
        ),
        "threatens somebody",
    ),
    (
        re.compile(
            rf"\b{GROUP} (?:are|is|should be|deserve|belong|need to be|must be|ought to be) (?:\w+ ){{0,3}}"
            r"(?:inferior|animals|vermin|filth|scum|subhuman|disgusting|trash|garbage|criminals|terrorists"
            r"|killed|shot|"
            r"gassed|exterminated|deported|die|death|in the kitchen|locked up|wiped out|evil|parasites"
            r"|rats)\b|"
            rf"\b(?:hate|kill|gas|exterminate|deport|lynch) (?:all )?(?:the |those |these )?{GROUP}\b|"
            r"\b(?:heil hitler|hitler was right|white power|gas the)\b",
            re.IGNORECASE,
        ),
        "degrades a group of people",
    ),
    (
        re.compile(
            r"\b(?:naked|nude|sexy|sexual)\b.{0,30}\b(?:child|children|kid|kids|little (?:girl|boy)|minor"
            r"|toddler|baby)\b|"
            r"\bsend (?:me )?(?:nudes|naked)\b|\brape\b",
            re.IGNORECASE,
        ),
        "sexual violence or children",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Toxicity:
    profanity: glin_profanity.Filter
    toxic: embedding.Vectors
    harmless: embedding.Vectors

    def judge(self, case: Case, meaning: Meaning) -> score.Score:
        """100 for clean, a little less for swearing, near 0 for threats, hate and hounding."""
        for pattern, reason in PATTERNS:
            if pattern.search(case.text):
                return score.clamped(0.0, (reason,))
        if SLUR.search(case.text):
            return score.clamped(0.0, ("a slur",))
        points, found = self._nearness(meaning.reply)
        words = [str(word) for word in self.profanity.check_profanity(case.text)["profane_words"]]
        if words:
            cost = sum(STRONG_POINTS if STRONG.search(word) else MILD_POINTS for word in words)
            points -= min(PROFANE_MAX, cost)
            found.append("swears")
        return score.clamped(points, found or ["clean"])

    def _nearness(self, reply: embedding.Vectors) -> tuple[float, list[str]]:
        near = _mean_nearest(self.toxic @ reply)
        if near < NEAR_MIN:
            return 100.0, []
        margin = near - _mean_nearest(self.harmless @ reply)
        points = score.along(margin, MARGIN)
        return points, ["close to abuse"] if margin > MARGIN[1][0] else []


def prototypes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(toxic, harmless) lines of the data file."""
    lines = PROTOTYPES_FILE.read_text(encoding="utf-8").splitlines()
    toxic, harmless = (tuple(line[2:] for line in lines if line.startswith(mark)) for mark in ("- ", "+ "))
    return toxic, harmless


def learn(spoken: Sequence[str], vectors: Mapping[str, embedding.Vectors]) -> Toxicity:
    """What the packs let their characters say (`spoken`) is harmless by definition."""
    toxic, harmless = prototypes()
    return Toxicity(
        profanity=glin_profanity.Filter({"languages": ["english"]}),
        toxic=np.stack([vectors[line] for line in toxic]),
        harmless=np.stack([vectors[line] for line in (*harmless, *spoken)]),
    )


def _mean_nearest(closeness: embedding.Vectors) -> float:
    return float(np.sort(closeness)[-NEAREST:].mean())
