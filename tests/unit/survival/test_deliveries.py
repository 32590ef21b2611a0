"""Messages delivered twice, again, and in any order change nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from svc.bus import limits
from tests.unit.survival import cast, sloppy, verdict, world

TALK = (
    world.Said(refuse=1),
    world.Said(to=(cast.PETER, cast.BRIAN), channel="console-den", after_s=0.5),
    world.Said(refuse=2, after_s=0.3),
    world.Said(to=(cast.BRIAN,), after_s=0.1),
)


def play(server: Callable[[Callable[[], float]], sloppy.Sloppy], instances: int) -> world.World:
    return world.World(server=server, instances=instances).play(*TALK)


@pytest.mark.parametrize("instances", [1, 2])
def test_a_talk_in_two_channels(instances: int) -> None:
    played = play(sloppy.Sloppy, instances)
    assert verdict.problems(played, informed=instances == 1) == []
    assert set(played.done.values()) == {1}


@pytest.mark.parametrize("pause_s", [limits.LEASE_S - 1, limits.LEASE_S + 1], ids=["held", "lapsed"])
def test_two_coordinators_write_one_history(pause_s: float) -> None:
    """Whoever is given a message writes it, or leaves it to the one who holds the channel."""
    played = world.World(instances=2).play(*[world.Said(after_s=pause_s)] * 6)
    assert verdict.problems(played, informed=True) == []
    writers = [name for name, effects in played.effects.items() if "append turn.user.peter" in effects]
    assert len(writers) == (1 if pause_s < limits.LEASE_S else 2)


@pytest.mark.parametrize("instances", [1, 2])
def test_every_message_is_given_to_two_at_once(instances: int) -> None:
    """Two may work on it side by side; one of them is heard."""
    played = play(lambda clock: sloppy.Sloppy(clock, twice=True), instances)
    assert verdict.problems(played, spare=instances - 1) == []


@pytest.mark.parametrize("instances", [1, 2])
def test_every_message_comes_back_after_its_ack(instances: int) -> None:
    """And looks like new: a broker that was killed forgets how often it delivered."""
    played = play(lambda clock: sloppy.Sloppy(clock, forgetful=True), instances)
    assert verdict.problems(played) == []


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_messages_come_in_any_order(seed: int, instances: int) -> None:
    played = play(lambda clock: sloppy.Sloppy(clock, order=random.Random(seed)), instances)
    assert verdict.problems(played) == []


def test_nobody_hears_of_a_reply() -> None:
    """Core NATS may lose anything; who waits reads the record."""
    played = play(lambda clock: sloppy.Sloppy(clock, silent=True), 1)
    assert verdict.problems(played) == []


@pytest.mark.parametrize("seed", range(3))
def test_all_of_it_at_once(seed: int) -> None:
    played = play(
        lambda clock: sloppy.Sloppy(clock, twice=True, forgetful=True, order=random.Random(seed)), 2
    )
    assert verdict.problems(played, spare=1) == []
