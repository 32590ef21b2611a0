"""A turn of two attempts, and one fault at every single moment of it: nothing is lost, doubled or redone."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pytest

from tests.unit.survival import fate, verdict, world

SAID = world.Said(refuse=1)
BUSY = ("llm", "router", "coordinator", "console")
"""Whose faults matter most; `test_anything_may_happen_anywhere` spares nobody."""
MOMENTS: tuple[fate.Moment, ...] = ("before", "after")


@functools.cache
def effects(process: str) -> tuple[str, ...]:
    """What a process does when nothing goes wrong."""
    return undisturbed().effects[process]


@functools.cache
def undisturbed() -> world.World:
    return world.World().play(SAID)


def survives(faults: Iterable[fate.Fault], *, instances: int = 1) -> None:
    found: dict[str, list[str]] = {}
    for fault in faults:
        if problems := verdict.problems(world.World([fault], instances=instances).play(SAID)):
            label = effects(fault.process)[fault.point - 1]
            found[f"{fault.kind} of {fault.process} {fault.moment} effect {fault.point}, {label}"] = problems
    assert found == {}


def everywhere(
    process: str, kind: fate.Kind = "crash", moments: tuple[fate.Moment, ...] = MOMENTS
) -> list[fate.Fault]:
    """A fault at every effect; none is before a message is taken, as nothing is known of it then."""
    return [
        fate.Fault(process, point, moment, kind)
        for point, label in enumerate(effects(process), 1)
        for moment in (("after",) if label.startswith("take") else moments)
    ]


def test_a_turn_that_nothing_disturbs() -> None:
    played = undisturbed()
    assert verdict.problems(played, informed=True) == []
    assert set(played.done.values()) == {1}
    assert sum(map(len, played.effects.values())) > 60
    for process, label in (
        ("coordinator", "append turn.user.peter"),
        ("router", "append req.llm.generate"),
        ("router", "append evt.turn.ended"),
        ("router", "append say.console.peter"),
        ("llm", "work llm.generate"),
        ("llm", "append rep.llm.generate"),
        ("quality", "ack req.quality.assess"),
        ("console", "append evt.message.posted"),
    ):
        assert label in played.effects[process]


@pytest.mark.parametrize("process", world.SERVICES)
def test_a_process_may_die_at_any_moment(process: str) -> None:
    survives(everywhere(process))


@pytest.mark.parametrize("process", BUSY)
def test_one_of_two_may_stand_still_at_any_moment(process: str) -> None:
    """Longer than every lease. What it was about to do, and does when it goes on, changes nothing."""
    survives(everywhere(process, "freeze", ("before",)), instances=2)


@pytest.mark.parametrize("process", BUSY)
def test_the_power_may_fail_at_any_moment(process: str) -> None:
    """The broker forgets the tail of what it had not synced, and acks."""
    survives(everywhere(process, "cut", ("after",)))


@pytest.mark.parametrize("process", world.SERVICES)
def test_any_acknowledgment_may_be_lost(process: str) -> None:
    faults = everywhere(process, "unheard", ("after",))
    survives(fault for fault in faults if effects(process)[fault.point - 1].startswith("append"))


@pytest.mark.parametrize("kind", ["wipe", "unplug"])
def test_the_cache_may_vanish_at_any_moment(kind: fate.Kind) -> None:
    survives(everywhere("coordinator", kind, ("after",)))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("kind", ["crash", "freeze", "unheard", "cut", "wipe", "unplug"])
def test_anything_may_happen_anywhere(kind: fate.Kind, instances: int) -> None:
    for process in world.SERVICES:
        survives(everywhere(process, kind), instances=instances)
