"""What the ledger says: each account's admission state, thresholds, the price book."""

from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.event import Event, IntString, Part
from contracts.money import AccountState, BasisPoints, Unit

ThresholdLevel = Literal["percent_25", "percent_10", "empty"]


class Slice(Part):
    """What one grant still allows in `[starts_at, expires_at)`; listed in burn order, future ones included."""

    slice_id: UUID
    unit: Unit
    amount: IntString
    starts_at: AwareDatetime
    expires_at: AwareDatetime | None = None


class Limits(Part):
    """A plan's limits; None is unlimited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    max_tokens: int | None = None


class BalanceChanged(Event):
    """The account's whole admission state (money.md 4), and the calls applied since the version before (6).

    Not compacted: each version's `applied` matters. Snapshots asked for by HTTP have the same shape.
    """

    type: ClassVar[str] = "ledger.balance-changed.v1"

    account_id: UUID
    version: int
    state: AccountState
    plan_id: str | None = None
    plan_version: int | None = None
    admission: Literal["strict", "elastic"] = "strict"
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    markup_bps: BasisPoints
    debt_nano: IntString = 0
    overage_room_nano: IntString = 0
    slices: tuple[Slice, ...] = ()
    applied: tuple[UUID, ...] = ()
    arming: int = 0


class ThresholdCrossed(Event):
    """No more than the level's share of `base_nano` is left; once per level and arming (money.md 25)."""

    type: ClassVar[str] = "ledger.threshold-crossed.v1"

    account_id: UUID
    level: ThresholdLevel
    arming: int
    unit: Unit
    base: IntString
    available: IntString


class PriceBookPublished(Event):
    """A price book version; `book` is `rating.PriceBook` as JSON. A version is never edited, a new one supersedes."""

    type: ClassVar[str] = "ledger.price-book-published.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("version",)

    version: int
    effective_at: AwareDatetime
    book: dict[str, Any]
