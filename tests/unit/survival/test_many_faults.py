"""Several faults in a talk of several turns, wherever hypothesis puts them."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.unit.survival import cast, fate, verdict, world

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
Plan = tuple[int, list[fate.Fault]]


def _faults(instances: int) -> st.SearchStrategy[Plan]:
    seconds = [f"{name}-2" for name in world.SERVICES] if instances == 2 else []
    fault = st.builds(
        fate.Fault,
        process=st.sampled_from([*world.SERVICES, *seconds]),
        point=st.integers(1, POINTS),
        moment=st.sampled_from(("before", "after")),
        kind=st.sampled_from(KINDS),
    )
    several = st.lists(fault, min_size=2, max_size=4, unique_by=lambda one: (one.process, one.point))
    return st.tuples(st.just(instances), several)


def plans() -> st.SearchStrategy[Plan]:
    """How many processes each service has, and what happens to them."""
    return st.integers(1, 2).flatmap(_faults)


def survives(talk: list[world.Said], plan: Plan) -> None:
    instances, faults = plan
    played = world.World(faults, instances=instances).play(*talk)
    # With several faults a turn may run out of time or attempts; then it ends in an honest notice.
    assert verdict.problems(played, answered=False) == []


@hypothesis.settings(max_examples=25, derandomize=True)
@hypothesis.given(TALK, plans())
def test_everything_goes_wrong(talk: list[world.Said], plan: Plan) -> None:
    survives(talk, plan)


@pytest.mark.slow
@pytest.mark.timeout(600)
@hypothesis.settings(max_examples=300)
@hypothesis.given(TALK, plans())
def test_everything_goes_wrong_in_more_ways(talk: list[world.Said], plan: Plan) -> None:
    survives(talk, plan)


@pytest.mark.parametrize("point", [1, 5])
def test_who_stands_still_with_a_request_answers_it_once(point: int) -> None:
    """Its lease runs out, and the only one to take it again is the same process."""
    survives([world.Said(refuse=1)], (1, [fate.Fault("llm", point, kind="freeze")]))
