"""The chain of an account's transfers (money.md 22): each hash covers the one before it and the row's canonical bytes.

A link is made under the account's lock, where the head stands. Canonical version 1 is a compact JSON array of the row's
fields in the table's order: UUIDs in lower case, instants as RFC 3339 in UTC with microseconds where they are not zero.
"""

from collections.abc import Iterable
from datetime import UTC
from hashlib import sha256
from typing import Final

import orjson

from ledger.domain.transfers import Transfer

VERSION: Final = b"\x01"
GENESIS: Final = bytes(32)


def link(previous: bytes, transfer: Transfer) -> bytes:
    """The hash of a transfer that follows `previous`."""
    return sha256(VERSION + previous + canonical(transfer)).digest()


def extend(head: bytes, transfers: Iterable[Transfer]) -> list[bytes]:
    """The hashes of transfers in the order of their sequence; the last one is the new head."""
    hashes = []
    for transfer in transfers:
        head = link(head, transfer)
        hashes.append(head)
    return hashes


def canonical(transfer: Transfer) -> bytes:
    """All that a transfer says; no two rows share these bytes."""
    account, seq, source, target, unit, amount, kind, charge, grant, reference, balance, booked_at, effective_at = (
        transfer
    )
    if booked_at.tzinfo is not UTC or effective_at.tzinfo is not UTC:
        booked_at, effective_at = booked_at.astimezone(UTC), effective_at.astimezone(UTC)
    # The driver's UUIDs are a class of their own, which the serialiser does not know.
    charge_id, grant_id = None if charge is None else str(charge), None if grant is None else str(grant)
    return orjson.dumps(
        (
            str(account), seq, source, target, unit, amount, kind, charge_id, grant_id, reference, balance,
            booked_at, effective_at,
        )
    )  # fmt: skip
