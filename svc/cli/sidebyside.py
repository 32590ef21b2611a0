"""A replayed turn beside the recorded one: what is the same in a line, what differs in two columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from svc.router import replay, rescore
from svc.wire import turn

LINES_MAX = 60
"""Of one step's differences; `--json` has everything."""
CHARS_MAX = 400
"""Of one value."""


def show(done: replay.Replay, console: Console) -> None:
    """Print a replay for a person."""
    if done.identical:
        console.print(Text(f"identical: {len(done.steps)} steps and the outcome, byte for byte", "green"))
    for step in done.steps:
        _step(step, console)
    _outcome(done.before, done.now, console)
    if done.stopped:
        console.print(Text(f"\nit stopped: {done.stopped}", "yellow"))


def _step(step: replay.Step, console: Console) -> None:
    mark, style = ("=", "dim") if step.same else ("≠", "yellow")
    name = f"{mark} {step.service}.{step.method} {step.n}"
    if step.live:
        name += "  (asked for real)"
    if bytes(step.now) == replay.NOTHING:
        name += "  would not be asked now"
    elif not step.same and bytes(step.before) == replay.NOTHING:
        name += "  was not asked then"
    elif not step.same and not step.live:
        name += "  would be asked differently; the recorded answer was taken all the same"
    console.print(Text(name, style))
    if not step.same and replay.NOTHING not in (bytes(step.before), bytes(step.now)):
        _differences("request", step.before, step.now, console)
    if bytes(step.now) != replay.NOTHING and bytes(step.reply_before) != bytes(step.reply_now):
        _differences("reply", step.reply_before, step.reply_now, console)


def _outcome(before: turn.Ended, now: turn.Ended | None, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", title="outcome", title_justify="left")
    for column in ("", "recorded", "now"):
        table.add_column(column, overflow="fold", ratio=None if not column else 1)
    for name in ("outcome", "text", "reason", "attempts", "score", "degraded"):
        left, right = _field(before, name), _field(now, name) if now else "—"
        if left or right.strip("—"):
            table.add_row(name, Text(left), Text(right, "" if left == right else "yellow"))
    console.print()
    console.print(table)


def _field(ended: turn.Ended, name: str) -> str:
    if name == "attempts":
        return str(len(ended.attempts))
    if name == "score":
        return f"{ended.verdict.score:.1f} of {ended.verdict.threshold:g}" if ended.verdict else ""
    if name == "degraded":
        return ", ".join(ended.degraded)
    return str(getattr(ended, name))


def _differences(what: str, before: msgspec.Raw, now: msgspec.Raw, console: Console) -> None:
    """The values that differ, each on a row: where it stands, then, now."""
    rows = list(_changed("", msgspec.json.decode(before), msgspec.json.decode(now)))
    table = Table(box=None, pad_edge=False, show_header=False)
    for ratio in (None, 1, 1):
        table.add_column(overflow="fold", ratio=ratio)
    for path, left, right in rows[:LINES_MAX]:
        table.add_row(Text(f"  {what}{path}", "dim"), *_marked(left, right))
    if len(rows) > LINES_MAX:
        table.add_row(Text(f"  … {len(rows) - LINES_MAX} more", "dim"), "", "")
    console.print(table)


def _changed(path: str, before: Any, now: Any) -> Iterator[tuple[str, str, str]]:  # any JSON
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _changed(f"{path}.{key}", before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (left, right) in enumerate(zip(before, now, strict=True)):
            yield from _changed(f"{path}[{index}]", left, right)
    else:
        yield path, _plain(before), _plain(now)


def _plain(value: Any) -> str:  # any JSON
    if value is None:
        return "—"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= CHARS_MAX else f"{text[:CHARS_MAX]}…"


def _marked(before: str, now: str) -> tuple[Text, Text]:
    """Both texts with the words that differ standing out."""
    left, right = Text(), Text()
    old, new = before.split(" "), now.split(" ")
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        same = kind == "equal"
        for side, words, style in ((left, old[a:b], "red"), (right, new[c:d], "green")):
            if words:
                side.append(" ".join(words) + " ", "" if same else style)
    return left, right


def summary(found: rescore.Summary, console: Console) -> None:
    """Print what the gate would say today."""
    if not found.judged:
        console.print("nothing was judged in that time")
        return
    console.print(
        f"{found.judged} judgements: {found.unchanged} unchanged, {found.now_refused} would be refused now, "
        f"{found.now_accepted} would pass now; score {found.mean_change:+.2f} on average"
    )
    if found.failed:
        console.print(Text(f"{found.failed} were not answered", "yellow"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("turn", "#", "who", "then", "now", "text", "why"):
        table.add_column(column, overflow="fold", no_wrap=column in ("turn", "#", "who"))
    for one in found.largest:
        table.add_row(
            one.turn,
            one.n,
            one.character,
            _judged(one.score, accepted=one.accepted),
            _judged(one.score_now, accepted=one.accepted_now),
            Text(one.text),
            Text(one.reason),
        )
    if found.largest:
        console.print(table)


def _judged(score: float, *, accepted: bool) -> Text:
    return Text(f"{'✓' if accepted else '✗'} {score:.1f}", "green" if accepted else "red")
