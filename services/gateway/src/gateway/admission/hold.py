"""A call's hold as its gateway remembers it: enough to enter it again where Redis lost it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

from contracts.gateway import Allocation
from contracts.money import Unit

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hold:
    """`split` is `slice=amount,...` and `plan_id` percent-quoted, both as the scripts keep them."""

    call_id: UUID
    account_id: UUID
    admitted_ms: int
    markup_bps: int
    plan_version: str
    plan_id: str
    split: str
    report: bytes

    @property
    def allocation(self) -> tuple[Allocation, ...]:
        return allocation_of(self.split)

    def arguments(self) -> tuple[str | bytes | int, ...]:
        """As scripts take a call: id, time, markup, plan version, plan, split, report."""
        return (
            str(self.call_id),
            self.admitted_ms,
            self.markup_bps,
            self.plan_version,
            self.plan_id,
            self.split,
            self.report,
        )


def allocation_of(split: str) -> tuple[Allocation, ...]:
    """What a split names; what stands on no slice is no allocation."""
    pairs = (part.split("=") for part in split.split(",") if part and not part.startswith("-="))
    return tuple(Allocation(slice_id=UUID(slice_id), unit=Unit.CREDIT, amount=amount) for slice_id, amount in pairs)


def split_of(allocation: Iterable[Allocation]) -> str:
    return ",".join(f"{one.slice_id}={one.amount}" for one in allocation)


def quoted_plan(plan_id: str | None) -> str:
    """No separator of an entry may occur in it."""
    return quote(plan_id or "", safe="")


def plan_of(quoted: str) -> str | None:
    return unquote(quoted) or None


def instant_of(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def milliseconds_of(instant: datetime) -> int:
    """Rounded up, so that a whole millisecond compares with the bound as it compares with the instant."""
    microseconds = (instant - _EPOCH) // _MICROSECOND
    return -(-microseconds // 1000)


def by_account(holds: Iterable[Hold]) -> dict[UUID, list[Hold]]:
    found: dict[UUID, list[Hold]] = {}
    for hold in holds:
        found.setdefault(hold.account_id, []).append(hold)
    return found


def chunks(holds: Sequence[Hold], size: int) -> list[Sequence[Hold]]:
    return [holds[start : start + size] for start in range(0, len(holds), size)]
