"""Control tokens: the strings with which chat templates mark roles.

A tokenizer can't tell one that a template wrote from one that somebody typed, so a user who types
`<|im_end|>` could end their own message and begin a system message. Whatever goes in is defused, and what
comes out of a model is stripped.
"""

from __future__ import annotations

import re

TOKENS = re.compile(
    r"<\|[^<>|\n]{1,40}\|>"  # ChatML, Llama 3, Phi, gpt-oss
    r"|<｜[^<>｜\n]{1,40}｜>"  # DeepSeek, with full-width bars
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|sep)>"  # Llama 2, Gemma
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"  # Mistral
    r"|<</?SYS>>",
    re.IGNORECASE,
)


def defuse(text: str) -> str:
    """`text` with a space inside every control token: it reads the same and commands nothing. Idempotent."""
    # One may hold another (`<|[INST]|>`): again until there is none. Each round parts one, so it ends.
    while (defused := TOKENS.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)) != text:
        text = defused
    return text


def strip(text: str) -> str:
    """`text` without control tokens, however they are nested."""
    while (stripped := TOKENS.sub("", text)) != text:
        text = stripped
    return text
