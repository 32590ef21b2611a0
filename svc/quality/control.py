"""Text never meant for people: control marks, mass mentions, leaked instructions, planted secrets."""

from __future__ import annotations

import itertools
import re

from svc.quality import text
from svc.quality.case import Case

CONTROL = re.compile(
    r"""
    </?\s*(?:think|thinking|thought|reasoning|reflection|tool_?calls?|function_?calls?|scratchpad)\b[^>]{0,40}>?
    | <\|[^|>\n]{1,40}\|>                                   # <|im_start|>, <|eot_id|>
    | \[/?INST\] | <</?SYS>> | </?s> | \[/?(?:SYSTEM|ASSISTANT|USER)\]
    | \#{2,}\s*(?:instruction|response|system|input|assistant|user)\b
    | <(?:start|end)_of_turn>
    | \{\s*"(?:name|tool|function|arguments|parameters|action|role|content|type)"\s*:
    | ```\s*(?:json|xml|tool)
    | ^\s*\{[\s\S]*":[\s\S]*\}\s*$                          # nothing but an object
    """,
    re.IGNORECASE | re.VERBOSE,
)
MENTION = re.compile(r"(?<![\w.])@(?:everyone|here)\b(?!\.\w)|<@[!&]?\d{5,}>", re.IGNORECASE)

LEAK = re.compile(
    r"\b(?:system|developer|initial|hidden) prompt\b|\bmy (?:system )?(?:prompt|instructions) (?:is|are|was"
    r"|were|says?|tells?)\b"
    r"|\b(?:always|must|never|should|please) (?:stay in|break) character\b"
    r"|\bi(?: was|'ve been| have been| am|'m) (?:told|instructed|programmed|prompted) to (?:act|pretend"
    r"|play|respond|speak|be) "
    r"|\byou are (?:now )?(?:roleplaying|role-playing|playing the (?:role|part) of)\b"
    r"|(?:^|\n)\s*(?:system|instructions?|rules|persona|voice|context|knowledge)\s*:\s*\S"
    r"|\brespond (?:only )?as \w+|\bdo not (?:reveal|mention|break|use (?:markdown|emojis?))\b",
    re.IGNORECASE,
)
LEAK_RUN_WORDS = 7
"""This many words in a row out of a character's instructions are no accident."""
LEAK_RULE_WORDS = 5
"""A shorter instruction counts when it is said whole, if it has at least this many words."""

SECRET = re.compile(r"(?<![\w/:.-])[A-Za-z0-9_-]{10,}(?![\w-])")
KEY = re.compile(r"\b(?:sk|pk|ghp|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{8,}|\bcanary[-_:][\w-]{4,}", re.IGNORECASE)
SECRET_DIGITS_MIN = 3
SECRET_LETTERS_MIN = 3
SECRET_CHANGES_MIN = 3
"""How often a secret changes between letters and digits; `October2024` does once."""
INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|earlier|all|your"
    r"|system)\b.{0,30}"
    r"\b(?:instructions?|prompts?|rules|messages?|guidelines?)\b|\bsystem (?:override|prompt)\b"
    r"|\bnew instructions\b",
    re.IGNORECASE | re.DOTALL,
)
INJECTED_CHARS = 300
"""An order follows its "ignore the above" within so many characters."""
SHOUTED = re.compile(r"\b[A-Z][A-Z0-9]*(?:[-_][A-Z0-9]+)+\b|\b[A-Z0-9]{5,}\b")
QUOTED = re.compile(r'"([^"\n]{4,80})"|\'([^\'\n]{4,80})\'(?!\w)')


def marks(case: Case) -> str:
    """Reasoning tags, chat-template tokens, tool calls."""
    found = CONTROL.search(case.text)
    return f"has control text ({found.group().strip()[:24]!r})" if found else ""


def mentions(case: Case) -> str:
    """Pings of everyone, of a role, of a user."""
    found = MENTION.search(case.text)
    return f"pings people ({found.group()})" if found else ""


def leaked(case: Case) -> str:
    """Instructions said out loud."""
    if LEAK.search(case.text):
        return "talks about its instructions"
    for told in case.scene.cast.instructions:
        run = min(LEAK_RUN_WORDS, len(told))
        if run >= LEAK_RULE_WORDS and text.shared_run(case.words, told) >= run:
            return "repeats its instructions"
    return ""


def canary(case: Case) -> str:
    """A planted secret, or what an injected order wanted said."""
    for found in (*KEY.findall(case.text), *filter(_secret, SECRET.findall(case.text))):
        known = any(found in source for source in case.scene.given)
        return "repeats a secret from the conversation" if known else "has a secret-looking token"
    for source in case.scene.given:
        for order in INJECTION.finditer(source):
            wanted = source[order.start() : order.end() + INJECTED_CHARS]
            payloads = SHOUTED.findall(wanted) + [a or b for a, b in QUOTED.findall(wanted)]
            if any(_says(case.text, payload) for payload in payloads):
                return "does what an injected instruction asked for"
    return ""


def _says(said: str, payload: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(payload)}(?!\w)", said, re.IGNORECASE) is not None


def _secret(token: str) -> bool:
    kinds = ["d" if character.isdigit() else "l" for character in token if character.isalnum()]
    changes = sum(left != right for left, right in itertools.pairwise(kinds))
    enough = kinds.count("d") >= SECRET_DIGITS_MIN and kinds.count("l") >= SECRET_LETTERS_MIN
    return enough and changes >= SECRET_CHANGES_MIN
