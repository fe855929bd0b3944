"""What makes calls one conversation, so that they stay on the credential whose prompt cache knows them."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID
from zlib import crc32

_SESSION: Final = b"x-claude-code-session-id"
# Enough for the system prompt's beginning to tell conversations apart; what follows it changes from turn to turn.
_PREFIX_BYTES: Final = 1024
_KEY_BYTES: Final = 4


def conversation_key(headers: Iterable[tuple[bytes, bytes]], account_id: UUID, body_prefix: bytes) -> bytes:
    """The client's own session if it names one, else account and leading bytes of the body; equal in all processes.

    A checksum will do: a collision costs a cache miss at most, and nobody gains by making one.
    """
    begin = hash(account_id.int) & 0xFFFFFFFF  # of an integer, so it is the same in all processes
    for name, value in headers:
        if name == _SESSION and value:
            return crc32(value, begin).to_bytes(_KEY_BYTES, "big")
    return crc32(body_prefix[:_PREFIX_BYTES], begin).to_bytes(_KEY_BYTES, "big")


def slot_of(conversation: bytes) -> int:
    """One of 1024, from whatever bytes."""
    checksum = int.from_bytes(conversation, "big") if len(conversation) == _KEY_BYTES else crc32(conversation)
    return checksum & 1023
