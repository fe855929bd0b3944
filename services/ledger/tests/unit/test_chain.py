"""The hash chain (money.md 22)."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from ledger.domain.chain import GENESIS, canonical, extend
from ledger.domain.transfers import Transfer

ACCOUNT = UUID(int=1)
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
FIRST = Transfer(ACCOUNT, 1, "trial", "grant:x", "credit", 10**15 + 1, "topup", None, None, None, 5, NOW, NOW)
OTHER: dict[str, Any] = {
    "account_id": UUID(int=2),
    "seq": 2,
    "source": "plans",
    "target": "grant:y",
    "unit": "token",
    "amount": 10**15 + 2,
    "kind": "refund",
    "charge_id": UUID(int=3),
    "grant_id": UUID(int=4),
    "reference": "",
    "balance_after": None,
    "booked_at": NOW + timedelta(microseconds=1),
    "effective_at": NOW - timedelta(microseconds=1),
}


def test_the_first_version_is_what_it_was() -> None:
    assert canonical(FIRST) == (
        b'["00000000-0000-0000-0000-000000000001",1,"trial","grant:x","credit",1000000000000001,"topup",null,null,'
        b'null,5,"2026-11-21T12:00:00.123456+00:00","2026-11-21T12:00:00.123456+00:00"]'
    )
    assert extend(GENESIS, [FIRST]) == [sha256(b"\x01" + bytes(32) + canonical(FIRST)).digest()]


@pytest.mark.parametrize("field", Transfer._fields)
def test_a_change_of_any_field_changes_the_hash_and_all_that_follow(field: str) -> None:
    second = FIRST._replace(seq=2, amount=7)
    changed = FIRST._replace(**{field: OTHER[field]})

    assert not set(extend(GENESIS, [FIRST, second])) & set(extend(GENESIS, [changed, second]))


def test_a_row_taken_out_or_put_in_changes_all_that_follows() -> None:
    rows = [FIRST._replace(seq=number, amount=number) for number in range(1, 5)]

    whole, without = extend(GENESIS, rows), extend(GENESIS, [rows[0], *rows[2:]])

    assert whole[0] == without[0]
    assert not set(whole[1:]) & set(without[1:])
