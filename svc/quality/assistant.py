"""The assistant behind the mask: refusals, service phrases, talk of being a model or of playing a part."""

from __future__ import annotations

import re

from svc.quality.case import Case

REFUSAL = re.compile(
    r"\b(?:i|we)(?:'m| am)? (?:can't|cannot|can not|won't|am unable to|unable to|not able to|not allowed to"
    r"|must decline to) "
    r"(?:assist|fulfil\w*|comply|engage in|generate|provide (?:that|this|you|any|information|assistance)"
    r"|participate in|"
    r"create (?:content|that|such)|support (?:that|this) (?:request|behaviou?r))"
    r"|\bsorry,? but (?:i|as an)\b.{0,25}\b(?:can't|cannot|unable to|not able to|won't) (?:help|assist|do"
    r"|answer|discuss|continue)\b"
    r"(?: (?:you )?(?:with )?(?:that|this)(?: request| question| topic)?)?(?=[.!,;]|$)"
    r"|\bi (?:can't|cannot) (?:help|assist)(?: you)? with (?:that|this|your) (?:request|question|query)\b"
    r"|\bviolat\w+ (?:my|the|our) (?:\w+ )?(?:guidelines|polic\w+|terms)\b|\bagainst my (?:guidelines"
    r"|programming|polic\w+)\b",
    re.IGNORECASE,
)
MODEL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant|chatbot|llm)\b"
    r"|\bi(?:'m| am) (?:just |only |merely |actually |really )?(?:an? )?(?:helpful )?"
    r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|virtual assistant|digital assistant"
    r"|ai assistant|chatbot)\b"
    r"|\bi (?:do not|don't) have (?:personal|human|real) (?:opinions?|feelings?|experiences?|preferences?"
    r"|emotions?|beliefs?)\b"
    r"|\bmy (?:training data|knowledge cut-?off|programming|last (?:knowledge )?update|creators at)\b"
    r"|\b(?:created|developed|trained|made) by (?:openai|anthropic|google|meta|hugging ?face|mistral"
    r"|alibaba)\b"
    r"|\bi(?:'m| am) (?:smollm|chatgpt|claude|gemini|llama|qwen|mistral)\b",
    re.IGNORECASE,
)
SERVICE = re.compile(
    r"\bhow (?:can|may|could) i (?:help|assist|be of (?:service|assistance))(?: you)?(?: today| with|\?)"
    r"|^(?:sure|certainly|of course|absolutely|great question)[,!.]+ (?:here(?:'s| is| are)|i(?:'d| would"
    r"|'ll| will) (?:be )?(?:happy|glad|help))"
    r"|\b(?:let me know if|if) you (?:have|need) (?:any |more )?(?:other |more |further "
    r"|additional )?(?:questions|help|assistance|information)\b"
    r"|\bfeel free to (?:ask|reach out|contact|let me know)\b|\bi hope (?:this|that) (?:helps|answers"
    r"|information)\b"
    r"|\bi(?:'m| am) here to (?:help|assist)\b|\bthank you for (?:your (?:question|inquiry|message)"
    r"|reaching out)\b"
    r"|\bplease (?:provide|specify|clarify) (?:more|the|your|additional|further)\b",
    re.IGNORECASE,
)
PART = re.compile(
    r"\b(?:in the (?:style|voice) of|as the character|(?:my|the) (?:character|persona) (?:is|would|of)"
    r"|i would respond)\b"
    r"|^\W*(?-i:As [A-Z]\w+(?: [A-Z]\w+)?),? .{0,30}\bi(?: would|'d| might) (?:say|respond|reply|answer)\b"
    r"|\b(?:here(?:'s| is)) (?:a|an|the|my|one) (?:possible |sample |revised |short )?(?:response|reply"
    r"|rewrite|version|dialogue)\b",
    re.IGNORECASE,
)
TABLE = (
    (REFUSAL, "refuses like an assistant"),
    (MODEL, "speaks of itself as a model"),
    (SERVICE, "offers its services like an assistant"),
    (PART, "speaks of playing a part"),
)


def speaks(case: Case) -> str:
    """Which of the assistant's habits shows, if one does."""
    return next((reason for pattern, reason in TABLE if pattern.search(case.text)), "")
