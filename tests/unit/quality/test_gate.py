"""The whole gate: bad replies are refused however little has been said, good ones are not thrown away."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from svc import embedding
from svc.quality import gate, settings
from svc.wire import characters, quality
from tests.unit.quality.conftest import line, request

pytestmark = pytest.mark.anyio

PROBES_FILE = Path(__file__).with_name("probes.jsonl")
GOOD_SHARE_MIN = {0: 0.96, 10: 0.96, 30: 0.85}
"""Messages heard -> share of the good probes that must be accepted."""
CHATTER = (
    ("so what did everybody do today", ""),
    ("I went to the lake with my sister", ""),
    ("Nothing much, just sat around the house.", "brian"),
    ("the weather has been awful lately", ""),
    ("Somebody left the gate open again.", "stewie"),
    ("who took my charger", ""),
    ("I put it in the kitchen drawer, I think.", "peter"),
    ("ok thanks", ""),
    ("anyone up for a movie later", ""),
    ("Only if there's popcorn involved.", "peter"),
)
HISTORY = tuple(line(text, character) for text, character in CHATTER)


class Probe(msgspec.Struct, frozen=True):
    label: str
    kind: str
    character: str
    user: str
    reply: str
    said: str = ""
    """What another of the cast said just before."""

    def at(self, heard: int) -> quality.AssessRequest:
        history = HISTORY[: min(heard, len(HISTORY))]
        if self.said:
            history = (*history, line(self.said, "stewie"))
        return request(self.reply, self.user, self.character, history, heard)


PROBES = [msgspec.json.decode(row, type=Probe) for row in PROBES_FILE.read_bytes().splitlines()]


async def one(keeper: gate.Gate, asked: quality.AssessRequest) -> quality.Verdict:
    return (await keeper.assess(asked, asked.replies))[0]


@pytest.mark.parametrize("heard", [0, 10, 30])
async def test_discriminates(keeper: gate.Gate, heard: int) -> None:
    verdicts = [(probe, await one(keeper, probe.at(heard))) for probe in PROBES]
    let_through = [probe for probe, verdict in verdicts if probe.label == "bad" and verdict.accepted]
    assert not let_through
    goods = [verdict.accepted for probe, verdict in verdicts if probe.label == "good"]
    assert sum(goods) / len(goods) >= GOOD_SHARE_MIN[heard]


PLAIN_GOODS = [
    (
        "peter",
        "Can you cook dinner tonight?",
        "Sure! I'm gonna make pancakes, and I'm gonna put hot dogs in 'em.",
    ),
    ("peter", "What's your favorite beer?", "Holy crap! I love beer."),
    (
        "brian",
        "Do you believe in God?",
        "No, and I'd argue the burden of proof lies with whoever built the cathedrals.",
    ),
    (
        "stewie",
        "Can you cook dinner tonight?",
        "I am a genius, not a scullery maid. Tell the fat man to fetch his own supper.",
    ),
]


@pytest.mark.parametrize("heard", [0, 10, 30])
@pytest.mark.parametrize(("character", "user", "reply"), PLAIN_GOODS)
async def test_a_good_answer_passes(
    keeper: gate.Gate, heard: int, character: str, user: str, reply: str
) -> None:
    verdict = await one(keeper, request(reply, user, character, HISTORY[:heard], heard))
    assert verdict.accepted, verdict.reason


async def test_verdict_adds_up(keeper: gate.Gate) -> None:
    character, user, reply = PLAIN_GOODS[0]
    verdict = await one(keeper, request(reply, user, character))
    assert [component.name for component in verdict.components] == list(settings.PARTS)
    assert sum(component.weight for component in verdict.components) == pytest.approx(1.0)
    total = sum(component.weight * component.score for component in verdict.components)
    assert verdict.score == pytest.approx(total, abs=0.06)
    assert all(component.found for component in verdict.components)
    assert (verdict.threshold, verdict.reason, verdict.stop) == (30.0, "", "")


async def test_a_stop_ends_the_analysis(keeper: gate.Gate) -> None:
    verdict = await one(keeper, request("@everyone @here"))
    assert (verdict.accepted, verdict.stop, verdict.components) == (False, "mass_mention", ())
    assert "pings people" in verdict.reason


async def test_another_characters_line_is_below_the_floor(keeper: gate.Gate) -> None:
    reply = "Blast! I shall enslave every pizzaiolo in Naples, you wretched imbecile!"
    assert (await one(keeper, request(reply, "Do you like pizza?", "stewie"))).accepted
    refused = await one(keeper, request(reply, "Do you like pizza?", "peter"))
    assert refused.stop == "authenticity_floor"
    assert "Stewie" in refused.reason


async def test_catchphrases_alone_do_not_decide(keeper: gate.Gate) -> None:
    """Brian's thought with Peter's words in front is still Brian's thought."""
    reply = "Holy crap, frankly I would argue that organized religion is mostly a comfort for the unread."
    assert not (await one(keeper, request(reply, "Do you believe in God?", "peter"))).accepted


async def test_toxic_is_refused_at_any_score(keeper: gate.Gate) -> None:
    verdict = await one(keeper, request("Oh man, pizza! Go kill yourself, hehehe.", "Do you like pizza?"))
    assert verdict.stop == "toxicity_floor"
    assert verdict.score > verdict.threshold


async def test_said_before_by_any_character(keeper: gate.Gate) -> None:
    said = "Man, I could really go for a bucket of chicken right now."
    asked = request(
        "Man, I could go for a bucket of chicken right now!",
        "Are you hungry?",
        history=(line(said, "brian"),),
    )
    assert (await one(keeper, asked)).stop == "said_before"
    by_a_person = request(asked.replies[0], asked.user, history=(line(said),))
    assert (await one(keeper, by_a_person)).stop != "said_before"


async def test_replies_keep_their_order_and_the_best_is_named(keeper: gate.Gate) -> None:
    user = "What's your favorite beer?"
    replies = (
        ".",
        "Beer is an alcoholic beverage made from water and hops.",
        "Holy crap! I love beer.",
        "@here",
    )
    verdicts = await keeper.assess(request(replies[0], user), replies)
    assert [verdict.accepted for verdict in verdicts] == [False, False, True, False]
    assert gate.best(verdicts) == 2
    assert gate.best(verdicts[:2]) == 1


async def test_deterministic(
    keeper: gate.Gate, packs: tuple[characters.Pack, ...], embedder: embedding.Embedder
) -> None:
    again = gate.build(packs, embedder, settings.Settings())
    for probe in PROBES[::7]:
        assert await one(again, probe.at(0)) == await one(keeper, probe.at(0))


async def test_key_covers_what_the_verdict_depends_on(keeper: gate.Gate) -> None:
    asked = request("Holy crap! I love beer.", "What's your favorite beer?")
    reply = asked.replies[0]
    key = keeper.key(asked, reply)
    assert key.startswith("qc:")
    assert key.endswith(":peter:user")
    changed = (
        msgspec.structs.replace(asked, user="What's your favorite wine?"),
        msgspec.structs.replace(asked, author="Bob"),
        msgspec.structs.replace(asked, history=HISTORY[:1]),
        msgspec.structs.replace(asked, heard=7),
        msgspec.structs.replace(asked, character="brian"),
        msgspec.structs.replace(asked, kind="organic"),
    )
    assert len({key, *(keeper.key(other, reply) for other in changed)}) == len(changed) + 1
    assert keeper.key(msgspec.structs.replace(asked, heard=6, fresh=True), reply) == key
    assert keeper.key(asked, "Something else.") != key


async def test_a_fourth_character_needs_no_code(
    packs: tuple[characters.Pack, ...], embedder: embedding.Embedder
) -> None:
    """Even one with a pack too thin to learn a voice from is served."""
    meg = characters.Pack(
        id="meg",
        name="Meg Griffin",
        summary="You are Meg.",
        fallbacks=characters.Fallbacks(failed=("…",), busy=("…",), unknown=("…",)),
    )
    four = gate.build((*packs, meg), embedder, settings.Settings())
    verdict = await one(four, request("I like pizza, not that anybody asked.", "Do you like pizza?", "meg"))
    assert verdict.accepted
