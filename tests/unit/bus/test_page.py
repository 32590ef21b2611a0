"""The page about subjects says what the code says."""

from __future__ import annotations

from pathlib import Path

from svc.bus import limits, page, streams, subjects

ROOT = Path(__file__).resolve().parents[3]
UNITS = {"HOUR_S", "MIB"}
"""What limits are counted in; no limits themselves."""
LIMITS = sorted(name for name in vars(limits) if name.isupper() and name not in UNITS)


def table(title: str) -> list[list[str]]:
    """The cells of every row under a heading."""
    _, _, after = page.render().partition(f"## {title}\n")
    lines = after.partition("\n## ")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "subjects.md").read_text(encoding="utf-8") == page.render()


def test_every_limit_is_there_with_a_reason() -> None:
    reasons = {row[0].strip("`"): row[-1] for row in table("Limits")}
    assert [name for name in LIMITS if name not in reasons] == []
    assert [name for name, why in reasons.items() if len(why.split()) < 3] == []


def test_a_limit_is_shown_exactly() -> None:
    """`2.68435e+08` is not what the code says."""
    shown = {row[0].strip("`"): float(row[1].replace(",", "")) for row in table("Limits")}
    assert {name: value for name, value in shown.items() if value != getattr(limits, name)} == {}


def test_units_are_no_limits() -> None:
    assert not {row[0] for row in table("Limits")} & {f"`{name}`" for name in UNITS}


def test_every_stream_and_consumer_has_a_row() -> None:
    assert [row[0] for row in table("Streams")] == [f"`{stream.name}`" for stream in streams.STREAMS]
    listed = {row[0] for row in table("Consumers (queue groups)")}
    assert {f"`{consumer.name}`" for consumer in streams.CONSUMERS} < listed


def test_no_row_breaks_its_table() -> None:
    for title in ("Subjects", "Events", "Streams", "Consumers (queue groups)", "Limits"):
        rows = table(title)
        assert rows
        assert len({len(row) for row in rows}) == 1, title


def test_every_documented_event_has_five_tokens_and_is_stored() -> None:
    for pattern, _, _ in page.EVENTS:
        tokens = [token if token.isalpha() else "x" for token in pattern.replace(">", "").split(".")]
        subject = ".".join(tokens)
        subjects.parse(subject)
        assert streams.stream_of(subject) in ("RECORD", "LOG"), pattern


def test_every_documented_kind_has_five_tokens() -> None:
    for _, pattern, _ in page.KINDS:
        assert len(pattern.split(".")) == 5
