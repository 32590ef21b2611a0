"""Settings of the router, from `QUAHOG_ROUTER_…`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    router_examples: Annotated[int, Meta(ge=0, le=4)] = 4
    """Example exchanges in the prompt."""
    router_history: Annotated[int, Meta(ge=0, le=30)] = 12
    """Lines of history in the prompt, before the model's own budget."""
    router_passages: Annotated[int, Meta(ge=0, le=10)] = 3
    router_sentences: Annotated[int, Meta(ge=1, le=10)] = 2
    """Sentences kept of a draft: the cast chats, it does not lecture."""
    router_slots: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Turns one process works on at once."""
