"""Discord's numbers: intents, channel types, error codes, and the shape of an error answer."""

from __future__ import annotations

import datetime
from typing import Any

Json = dict[str, Any]
"""A payload as Discord documents it. `Any`: it is JSON whose fields differ from one object to the next."""

API = "/api/v10"
EPOCH_MS = 1_420_070_400_000
"""The first second of 2015: what snowflakes count from."""

INTENT_GUILDS = 1 << 0
INTENT_MEMBERS = 1 << 1
INTENT_PRESENCES = 1 << 8
INTENT_MESSAGES = 1 << 9
INTENT_REACTIONS = 1 << 10
INTENT_TYPING = 1 << 11
INTENT_CONTENT = 1 << 15
PRIVILEGED = INTENT_MEMBERS | INTENT_PRESENCES | INTENT_CONTENT
DM_SHIFT = 3
"""The intents for direct messages are those for guilds, three bits further."""

CHANNEL_TEXT = 0
CHANNEL_DM = 1
CHANNEL_THREAD = 11
THREADS = (10, 11, 12)

MESSAGE_REPLY = 19
EPHEMERAL = 1 << 6
CONTENT_CHARS_MAX = 2000
NONCE_CHARS_MAX = 25
ALL_PERMISSIONS = str((1 << 53) - 1)

CLOSE_AUTHENTICATION = 4004
CLOSE_DISALLOWED_INTENTS = 4014

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, MEMBERS = 0, 1, 2, 6, 7, 8
INVALID_SESSION, HELLO, HEARTBEAT_ACK = 9, 10, 11


class ApiError(Exception):
    """Discord says no: an HTTP status, and a body with a code and a message."""

    def __init__(self, status: int, code: int, message: str, **extra: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.body: Json = {"code": code, "message": message, **extra}


def invalid_form(field: str, code: str, message: str) -> ApiError:
    """400 with Discord's nested form errors."""
    return ApiError(
        400, 50035, "Invalid Form Body", errors={field: {"_errors": [{"code": code, "message": message}]}}
    )


def timestamp() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()
