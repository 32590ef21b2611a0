"""`quahog ask`: one question, one answer, and how it came about."""

from __future__ import annotations

import argparse
import secrets
import sys

from rich.console import Console
from rich.text import Text

from svc import errors
from svc.bus import limits, subjects
from svc.cli import reach
from svc.wire import base, message, router

EXAMPLE = '  quahog ask peter "What\'s your favorite beer?"\n  quahog ask brian "Read any good books?" --json'
EXIT_NO_ANSWER = 3
"""Nothing passed the gate: what is printed is the character's fallback line."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("character", help="peter, brian, stewie, or one of yours")
    parser.add_argument("text", help="what to say")
    parser.add_argument("--channel", default="", help="a conversation to continue (default: a new one)")
    parser.add_argument("--name", default="You", help="who is asking (default: You)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 = answered, 3 = only a fallback line, 1 = failed."""
    answer = reach.run(lambda: ask(args))
    if args.json:
        sys.stdout.write(base.encode(summary(answer)).decode() + "\n")
    else:
        show(answer)
    return 0 if answer.accepted else EXIT_NO_ANSWER


async def ask(args: argparse.Namespace) -> router.Orchestrated:
    """Raises ConfigError for text that can't be sent, and everything `api.Bus.call` raises."""
    text = clean(args.text)
    native = secrets.token_hex(8)
    character = args.character.casefold()
    turn = subjects.turn_id(router.SURFACE, native, character)
    request = router.OrchestrateRequest(
        character=character,
        text=text,
        author=message.Author(id="cli", name=args.name),
        channel=args.channel,
        native=native,
    )
    async with reach.bus(args) as bus:
        return await bus.call(
            "router", "orchestrate", request, router.Orchestrated, turn=turn, within_s=limits.ORCHESTRATE_S
        )


def clean(text: str) -> str:
    """Raises ConfigError for nothing, and for more than a message may have."""
    if not text.strip():
        raise errors.ConfigError("the message has no words: say something")
    if len(text) > router.TEXT_CHARS_MAX:
        raise errors.ConfigError(
            f"the message has {len(text)} characters: at most {router.TEXT_CHARS_MAX} can be sent"
        )
    return text


def summary(answer: router.Orchestrated) -> dict[str, object]:
    """What scripts want at the top, and everything else behind it."""
    ended = answer.ended
    return {
        "turn": answer.turn,
        "character": answer.character,
        "text": answer.text,
        "accepted": answer.accepted,
        "outcome": ended.outcome,
        "attempts": answer.attempts,
        "score": answer.score,
        "threshold": ended.verdict.threshold if ended.verdict else None,
        "passages": ended.passages,
        "ms": answer.ms,
        "cached": ended.cached,
        "degraded": ended.degraded,
        "model": ended.model,
        "tried": ended.attempts,
    }


def show(answer: router.Orchestrated) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    ended = answer.ended
    console.print(Text(f"{answer.character.title()}: ", style="bold") + Text(answer.text))
    facts = [f"turn {answer.turn}", ended.outcome, f"{answer.attempts} attempt(s)", f"{answer.ms:.0f} ms"]
    if ended.verdict:
        facts.insert(2, f"score {answer.score:.1f} of {ended.verdict.threshold:g}")
    if ended.degraded:
        facts.append(f"degraded: {', '.join(ended.degraded)}")
    if ended.passages:
        facts.append("knew: " + ", ".join(passage.title for passage in ended.passages))
    console.print(Text(" · ".join(facts), style="dim"))
