"""Ages as people type them: `30m`, `1h`, `1.5d`."""

from __future__ import annotations

import re

from svc import errors

AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(option: str, text: str) -> float:
    """Raises ConfigError, naming the option."""
    found = AGE.fullmatch(text)
    if not found:
        raise errors.ConfigError(f"{option} wants a number and s, m, h or d (30m, 1h), not {text!r}")
    return float(found[1]) * UNIT_S[found[2]]
