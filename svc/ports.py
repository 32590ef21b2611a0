"""The documented ports: what the bridge keeps alive for `curl`, and what the servers behind it use."""

from __future__ import annotations

BRIDGE = {
    "llm": 6001,
    "coordinator": 6002,
    "quality": 6003,
    "tuning": 6004,
    "router": 6005,
    "characters": 6006,
    "retriever": 6007,
    "crawler": 6009,
    "peter": 6011,
    "brian": 6012,
    "stewie": 6013,
}
"""A name that is no service is the Discord surface of the character with that id."""
INFRASTRUCTURE = {"nats": 4222, "monitor": 8222, "cache": 6379, "chroma": 8000}
PORT_MAX = 65_535
