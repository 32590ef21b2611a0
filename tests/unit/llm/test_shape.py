"""Prompts for models that know no system role, or want roles to take turns."""

from __future__ import annotations

from svc.llm import shape


def _short(made: shape.Shape) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in made(shape.PROBE)]


def test_the_three_shapes() -> None:
    assert shape.plain(shape.PROBE) == shape.PROBE
    assert _short(shape.merged) == [
        ("system", "a\n\nd"),
        ("user", "b"),
        ("assistant", "c"),
        ("user", "e\n\nf"),
    ]
    assert _short(shape.folded) == [("user", "a\n\nd\n\nb"), ("assistant", "c"), ("user", "e\n\nf")]
    assert shape.folded(()) == ()
