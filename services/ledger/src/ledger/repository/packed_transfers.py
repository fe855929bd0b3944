from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from ledger.domain.transfers import Transfer
from ledger.repository.binary import bigint, known_text, micros, text, uuid

_WIDE: Final = ("account_id", "seq", "amount", "booked_at", "effective_at", "hash")
PACKED: Final = (*_WIDE, "source", "target", "unit", "kind", "charge_id", "grant_id", "reference", "balance_after")
_pack: Final = Struct(">hi16siqiqiqiqi32s").pack
_micros: Final = lru_cache(maxsize=1_000)(micros)
"""All accounts of a batch share the instant of their booking."""


def packed_transfers(transfers: Sequence[Transfer], hashes: Iterable[bytes]) -> list[bytes]:
    """One account's transfers as rows of `PACKED`; those of one call or batch share their instants."""
    rows: list[bytes] = []
    account, count = transfers[0].account_id.bytes, len(PACKED)
    last_booked = last_effective = transfers[0].booked_at
    booked = effective = _micros(last_booked)
    for transfer, link in zip(transfers, hashes, strict=True):
        _, seq, source, target, unit, amount, kind, charge_id, grant_id, reference, balance, booked_at, at = transfer
        if booked_at is not last_booked:
            last_booked, booked = booked_at, micros(booked_at)
        if at is not last_effective:
            last_effective, effective = at, micros(at)
        rows += (
            _pack(count, 16, account, 8, seq, 8, amount, 8, booked, 8, effective, 32, link),
            # Most often a grant, of which there are as many as accounts.
            text(source),
            known_text(target),
            known_text(unit),
            known_text(kind),
            uuid(charge_id),
            uuid(grant_id),
            text(reference),
            bigint(balance),
        )
    return rows
