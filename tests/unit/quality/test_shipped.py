"""The gate over the cast that ships: the same probes, the same demands."""

from __future__ import annotations

import pytest

from svc import config, embedding
from svc.characters import pack
from svc.quality import gate, settings
from tests.unit.quality.test_gate import GOOD_SHARE_MIN, PROBES, one

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def shipped(embedder: embedding.Embedder) -> gate.Gate:
    packs = tuple(pack.load(config.shipped("characters")).values())
    return gate.build(packs, embedder, settings.Settings())


def test_the_voices_can_be_told_apart(shipped: gate.Gate) -> None:
    assert shipped.heldout > 0.8


@pytest.mark.parametrize("heard", [0, 10, 30])
async def test_discriminates(shipped: gate.Gate, heard: int) -> None:
    verdicts = [(probe, await one(shipped, probe.at(heard))) for probe in PROBES]
    assert not [probe for probe, verdict in verdicts if probe.label == "bad" and verdict.accepted]
    goods = [verdict.accepted for probe, verdict in verdicts if probe.label == "good"]
    assert sum(goods) / len(goods) >= GOOD_SHARE_MIN[heard]
