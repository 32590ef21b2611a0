"""The errors a person sees. Each message is one line: what is wrong, and what to do.

QuahogError
├── ConfigError      a setting, a pack or a file is missing or wrong
├── StackError       a part of the embedded stack can't start
└── bus.errors.BusError   (its own tree, drawn there)
"""

from __future__ import annotations


class QuahogError(Exception):
    """Base of every error we raise on purpose; `str(error)` is fit to print."""


class ConfigError(QuahogError):
    """A setting, a character pack or a file the owner wrote is missing or wrong."""


class StackError(QuahogError):
    """A part of the embedded stack could not be found, started or kept."""
