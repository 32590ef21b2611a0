"""What can go wrong on the bus.

BusError
├── AlreadyRecorded   this subject was written before: fetch what is there (once per subject)
├── NotAccepted       nothing will run: the broker can't be reached or has no such stream
├── Overloaded        that service's queue is full: nothing will run, try later
├── NoReply           accepted, but no answer in time: it may still run, its answer is recorded
├── Refused           the handler said no, with a code
└── Retry             raised *by* a handler: deliver this again later
"""

from __future__ import annotations

from svc import errors


class BusError(errors.QuahogError):
    """Base of everything the bus raises."""


class AlreadyRecorded(BusError):
    """The subject has a message already; the first write wins."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} is already recorded")
        self.subject = subject


class NotAccepted(BusError):
    """The broker did not store the message; nothing will run."""


class Overloaded(BusError):
    """The queue of the service is full; nothing will run."""


class NoReply(BusError):
    """Accepted, but not answered before the deadline."""


class Refused(BusError):
    """The handler refused. Handlers raise it; callers get it with the same code and message."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message


class Retry(BusError):
    """A handler asks for the message again, `after_s` seconds from now."""

    def __init__(self, reason: str, after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.after_s = after_s
