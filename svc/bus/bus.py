"""The door to the bus: what every service, surface and command uses."""

from __future__ import annotations


class Bus:
    """Placeholder while the broker is written."""
