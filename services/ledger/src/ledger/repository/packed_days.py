"""What calls add to their days, packed for COPY."""

from datetime import date
from functools import lru_cache
from struct import Struct
from typing import Final

from ledger.domain.usage_days import DaySums, Sums
from ledger.repository.binary import known_text
from ledger.repository.driver import NOBODY

PACKED_DAY: Final = (
    "account_id",
    "day",
    "project_id",
    "api_key_id",
    "user_id",
    *DaySums._fields,
    "plan_id",
    "model",
)
_SUMS: Final = len(DaySums._fields)
_pack: Final = Struct(f">hi16sii{'i16s' * 3}{'iq' * _SUMS}").pack
_EPOCH: Final = date(2000, 1, 1).toordinal()


def packed_days(days: Sums) -> list[bytes]:
    """Rows of `PACKED_DAY`."""
    rows: list[bytes] = []
    count, nobody = len(PACKED_DAY), NOBODY.bytes
    for key, sums in days.items():
        account_id, day, plan_id, model, project_id, api_key_id, user_id = key
        calls, failed, fresh, write_5m, write_1h, read, output, price, value, tokens, requests, overage, cost, own = (
            sums
        )
        rows += (
            _pack(
                count, 16, account_id.bytes, 4, day.toordinal() - _EPOCH,
                16, project_id.bytes if project_id else nobody, 16, api_key_id.bytes if api_key_id else nobody,
                16, user_id.bytes if user_id else nobody,
                8, calls, 8, failed, 8, fresh, 8, write_5m, 8, write_1h, 8, read, 8, output, 8, price, 8, value,
                8, tokens, 8, requests, 8, overage, 8, cost, 8, own,
            ),
            _names(plan_id, model),
        )  # fmt: skip
    return rows


@lru_cache(maxsize=10_000)
def _names(plan_id: str, model: str) -> bytes:
    return known_text(plan_id) + known_text(model)
