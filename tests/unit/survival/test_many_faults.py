"""Several faults in a talk of several turns, wherever hypothesis puts them."""

from __future__ import annotations

import dataclasses
import functools
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.unit.survival import cast, fate, sloppy, verdict, world

KINDS: tuple[fate.Kind, ...] = ("crash", "crash", "freeze", "unheard", "cut", "wipe", "unplug")
POINTS = 30
"""About as many effects as the busiest process has in such a talk."""
SAID = st.builds(
    world.Said,
    refuse=st.integers(0, 2),
    to=st.sampled_from(((cast.PETER,), (cast.BRIAN,), (cast.PETER, cast.BRIAN))),
    channel=st.sampled_from(("console-main", "console-den")),
    after_s=st.sampled_from((0.0, 0.5, 3.0, 12.0)),
)
TALK = st.lists(SAID, min_size=2, max_size=4)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong."""

    faults: list[fate.Fault]
    instances: int = 1
    forgetful: bool = False
    order: int | None = None
    """Seed of the order in which messages come; None = as they should."""


def _plans(instances: int) -> st.SearchStrategy[Plan]:
    seconds = [f"{name}-2" for name in world.SERVICES] if instances == 2 else []
    fault = st.builds(
        fate.Fault,
        process=st.sampled_from([*world.SERVICES, *seconds]),
        point=st.integers(1, POINTS),
        moment=st.sampled_from(("before", "after")),
        kind=st.sampled_from(KINDS),
    )
    return st.builds(
        Plan,
        faults=st.lists(fault, min_size=2, max_size=4, unique_by=lambda one: (one.process, one.point)),
        instances=st.just(instances),
        forgetful=st.booleans(),
        order=st.none() | st.integers(0, 99),
    )


PLANS = st.integers(1, 2).flatmap(_plans)


def survives(talk: list[world.Said], plan: Plan) -> None:
    order = None if plan.order is None else random.Random(plan.order)
    server = functools.partial(sloppy.Sloppy, forgetful=plan.forgetful, order=order)
    played = world.World(plan.faults, instances=plan.instances, server=server).play(*talk)
    # With several faults a turn may run out of time or attempts; then it ends in an honest notice.
    assert verdict.problems(played, answered=False) == []


@hypothesis.settings(max_examples=25, derandomize=True)
@hypothesis.given(TALK, PLANS)
def test_everything_goes_wrong(talk: list[world.Said], plan: Plan) -> None:
    survives(talk, plan)


@pytest.mark.slow
@pytest.mark.timeout(600)
@hypothesis.settings(max_examples=300)
@hypothesis.given(TALK, PLANS)
def test_everything_goes_wrong_in_more_ways(talk: list[world.Said], plan: Plan) -> None:
    survives(talk, plan)


@pytest.mark.parametrize("point", [1, 5])
def test_who_stands_still_with_a_request_answers_it_once(point: int) -> None:
    """Its lease runs out, and the only one to take it again is the same process."""
    survives([world.Said(refuse=1)], Plan([fate.Fault("llm", point, kind="freeze")]))


def test_a_refusal_for_being_late_comes_while_the_router_gives_up() -> None:
    """The router stands still, and the prompt it asked for is held up by a broker that is away."""
    talk = [
        world.Said(2, after_s=3.0),
        world.Said(2, (cast.PETER, cast.BRIAN), after_s=0.5),
        world.Said(0, (cast.BRIAN,), "console-den"),
        world.Said(0, (cast.BRIAN,), "console-den"),
    ]
    faults = [
        fate.Fault("console", 7, kind="cut"),
        fate.Fault("router", 18, kind="freeze"),
        fate.Fault("tuning", 26, kind="unheard"),
        fate.Fault("retriever", 20, "before", "cut"),
    ]
    survives(talk, Plan(faults, order=1))
