"""Every deadline, lease, window and size bound of the bus, in one table with the reason for each.

`quahog subjects --write` prints this table into `subjects.md`.
"""

from __future__ import annotations

HOUR_S = 3600.0
MIB = 1024 * 1024

# -- sizes -----------------------------------------------------------------------------------------
BODY_BYTES_MAX = 512 * 1024
"""Largest body: a prompt of 8,192 tokens with history and passages is under 100 KiB."""
HEADER_BYTES_MAX = 64 * 1024
"""The most that the server takes of headers. A stream's largest message is a body and headers."""
WORK_MSGS_MAX = 5_000
"""Waiting requests per service: beyond this a caller is told `Overloaded` at once."""
MODEL_WAITING_MAX = 100
"""The same for the model, where waiting is long: five at once, 4 s each, and the last of 100 is done after
80 s, just inside `TURN_S`. More than one router works on at once, so that a model that is started again costs
time and no answers; with several routers whoever comes later is told so now instead of after 90 s."""
WORK_BYTES_MAX = 64 * MIB
"""The same bound in bytes: 5,000 prompts of 13 KiB."""
RECORD_BYTES_MAX = 2_048 * MIB
"""RECORD and LOG, each; when it is full the oldest goes first."""
STREAM_BYTES_MAX = 256 * MIB
"""Every other stream. The server reserves all bounds at creation: 5.6 GiB, so `max_file_store` is 8 GB."""
STATE_BYTES_MAX = 64 * MIB
"""Settings, tallies and leases of 10,000 channels are a few MiB."""
SUSPECT_BYTES_MAX = 8 * MIB
"""Messages suspected of killing who takes them, some hundred bytes each; the oldest suspicion goes first."""

# -- how long things are kept ----------------------------------------------------------------------
RECORD_AGE_S = 24 * HOUR_S
"""Turns, plans, say, record and log: how far back a turn can be shown and replayed."""
DEAD_AGE_S = 72 * HOUR_S
"""Dead letters outlive a weekend."""
SUSPECT_AGE_S = HOUR_S
"""What nobody died of for so long is no longer suspected."""
WORK_AGE_S = 600.0
"""A request nobody took for this long is worth nothing; longer than any deadline."""

# -- deadlines -------------------------------------------------------------------------------------
TURN_S = 90.0
"""Work on a user's turn, from when a router takes it to the outcome: people don't wait longer."""
TURN_AGE_S = 600.0
"""A turn that nobody could take for this long (everything was down) is not answered any more."""
HANDLE_S = 120.0
"""A handler of something that carries no deadline of its own; longer than a turn."""
CALL_S = 10.0
"""A call that says nothing else."""
ORGANIC_S = 30.0
"""The same for a planned turn: small talk that comes later than this is worse than none."""
REPLY_GRACE_S = 0.5
"""A caller waits this much longer than the deadline it gave, so that a refusal for being late arrives."""
ORCHESTRATE_S = TURN_S + 10.0
"""The synchronous door waits longer than the turn it waits for."""
BUSY_EVERY_S = 60.0
"""A channel hears at most once in this time that a character is too busy to answer."""
SAY_AGE_S = 300.0
"""An answer later than this is no answer any more: recorded as expired, not posted."""

# -- leases and retries ----------------------------------------------------------------------------
ACK_WAIT_S = 8.0
"""A delivery nobody acked or renewed for this long goes to another process."""
MODEL_ACK_WAIT_S = 4.0
"""The same in the model service: what a dead process worked on must not keep its successor waiting much
longer than the pin does."""
STALL_S = 60.0
"""A handler that made no progress for this long loses its lease even if its process is alive."""
MODEL_STALL_S = 30.0
"""The same for an engine that tells of its every step; its process ends, as no other is given its work. The
longest step is a batch of a prompt: 0.45 s with the model that is shipped, so that one fifty times as large
still keeps within this on the same two cores."""
OVERDUE_S = 30.0
"""A handler that goes on for so much longer than its deadline can't be cancelled: it hangs. Longer than the
longest step of a model, which can be cancelled only between two."""
HEARTBEAT_S = 1.0
"""How often leases of running handlers are renewed: a quarter of the shortest ack wait."""
DELIVERIES_MAX = 5
"""A request delivered this often without an answer is poison: buried."""
PATIENCE_MAX = 200
"""The same for what nobody else can redo (turns, events, answers to post): these may wait for a channel's
other writer, for a pack, for Discord; their own expiry ends them long before."""
TRUSTED_DELIVERIES = 2
"""Deliveries of such a message that cost nothing extra; from the next one on crashes are counted, and after
`DELIVERIES_MAX` of those it is poison as well."""
ALONE_CRASHES = 3
"""What so many processes died of, or beside, is tried alone: it is poison, or soon known not to be."""
QUARANTINE_S = 5.0
"""What must be tried alone waits so long for its turn, and comes back after as long again."""
LAST_WORDS_S = 20.0
"""What must still be recorded about a message that was buried; longer than storing takes."""
PIN_S = 3.0
"""A pinned model process that stops pulling for this long loses the pin to the standby."""
PINNED_PULL_S = 2.0
"""Pulls of a pinned consumer: shorter than the pin, so one is always open."""
PULL_S = 5.0
"""Every pull dies silently with its connection, so none is longer."""
APPEND_TRY_S = 2.0
"""One try to store a message, fsync included."""
APPEND_S = 15.0
"""All tries together: longer than a broker's restart or a leader election (measured 3.9–8.4 s)."""
RECHECK_S = 5.0
"""A waiting caller reads the record this often, in case it missed the notification."""
STOP_S = 2.5
"""Handlers get this long to finish when told to stop; what isn't done by then is given back, not lost."""
LEASE_S = 10.0
"""A channel's writer keeps it this long without renewing."""

CLOCK_CHECK_S = 30.0
"""How often a process compares its clock with the broker's."""
CLOCK_SKEW_MAX_S = 2.0
"""Clocks that differ by more are named in health. Work goes on: deadlines and leases follow the broker's."""

# -- concurrency -----------------------------------------------------------------------------------
MODEL_SLOTS = 5
"""Generations in flight: the document's pool of Ollama connections."""
BANTER_SLOTS = 2
"""Of these at most so many are small talk, whoever works on it. It is pulled always, or its pin would lapse;
but the model's pool starts it only while no user's turn waits, and the rest stays visible in the queue."""
ACK_PENDING_MAX = 512
"""Deliveries in progress per queue group, over all its processes."""
