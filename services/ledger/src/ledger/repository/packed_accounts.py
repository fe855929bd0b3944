"""What postings move of accounts, packed for COPY."""

from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from typing import Final

from ledger.domain.account import Account
from ledger.repository.binary import NULL, instant, text

_WIDE: Final = (
    "id",
    "arming",
    "version",
    "debt_nano",
    "transfer_seq",
    "armed_base",
    "armed_tokens",
    "armed_requests",
    "period_calls",
    "period_tokens",
    "period_value_nano",
    "period_overage_nano",
    "overage_carry",
)
PACKED_ACCOUNT: Final = (*_WIDE, "crossed", "period_start", "period_end", "due_at", "head")
_pack: Final = Struct(f">hi16sii{'iq' * (len(_WIDE) - 2)}").pack
_amounts_of: Final = attrgetter(*_WIDE[2:])
_size: Final = Struct(">i").pack
_array: Final = Struct(">iii").pack
_bounds: Final = Struct(">ii").pack
_TEXT: Final = 25
"""The type of an array's elements: `SELECT oid FROM pg_type WHERE typname = 'text'`."""


def packed_accounts(accounts: Iterable[Account]) -> list[bytes]:
    """Rows of `PACKED_ACCOUNT`."""
    rows: list[bytes] = []
    count = len(PACKED_ACCOUNT)
    for account in accounts:
        version, debt, seq, base, tokens, requests, calls, used, value, overage, carry = _amounts_of(account)
        head = account.head
        rows += (
            _pack(
                count, 16, account.id.bytes, 4, account.arming, 8, version, 8, debt, 8, seq, 8, base, 8, tokens,
                8, requests, 8, calls, 8, used, 8, value, 8, overage, 8, carry,
            ),
            _texts(tuple(account.crossed)),
            instant(account.period_start),
            instant(account.period_end),
            instant(account.due_at),
            NULL if head is None else _size(len(head)) + head,
        )  # fmt: skip
    return rows


@lru_cache(maxsize=10_000)
def _texts(values: tuple[str, ...]) -> bytes:
    """An array of texts, of one dimension that begins at 1; an empty one has none."""
    begun = _array(1, 0, _TEXT) + _bounds(len(values), 1) if values else _array(0, 0, _TEXT)
    packed = begun + b"".join(map(text, values))
    return _size(len(packed)) + packed
