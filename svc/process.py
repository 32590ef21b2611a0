"""What a service process and its supervisor agree on."""

from __future__ import annotations

READY_FD = "QUAHOG_READY_FD"
"""A file descriptor to write lines to: what the start is doing, and at last `ready`."""
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: a restart won't help until somebody changes a setting."""
EXIT_BROKEN = 70
"""EX_SOFTWARE: something failed that a restart may cure."""
