"""Every message that crosses the bus, one module per service. Data only, no logic.

Rules of evolution (held by `tests/contract/test_wire.py` with stored samples): a new field always has a
default, a field is never renamed or retyped, and unknown fields are ignored on decode. So bytes recorded
by an older version still decode, and an older process still reads what a newer one wrote.
"""
