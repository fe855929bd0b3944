from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from contracts.billing import Allowance, PaymentSettled
from contracts.money import Unit
from kit.ids import fact_id

FOREVER: Final = datetime.max.replace(tzinfo=UTC)
ONCE: Final = "once"
ROLLED: Final = "#rolled"
"""Ends the rule of a grant that carries on what the period before left."""
NANO_PER_MINOR: Final = 10_000_000
"""A cent in nano-credits."""


class GrantSource(StrEnum):
    """Why an amount was given."""

    TRIAL = "trial"
    PLAN = "plan"
    BUNDLE = "bundle"
    TOPUP = "topup"
    PROMO = "promo"
    ADJUSTMENT = "adjustment"


PRIORITY: Final = {
    GrantSource.PLAN: 100,
    GrantSource.ADJUSTMENT: 150,
    GrantSource.BUNDLE: 200,
}
"""Lower burns first: what a period takes away before what was bought to keep."""


@dataclass(slots=True)
class Grant:
    """An amount of one unit that an account may use in `[starts_at, expires_at)`; unique per account, rule and period.

    `remaining` changes under the account's lock only. `burnt` went into calls, `expired` into breakage, `rolled` into
    the next period's `heir`; a withdrawn grant was taken back before it started.
    """

    id: UUID
    account_id: UUID
    source: GrantSource
    unit: Unit
    amount: int
    remaining: int
    priority: int
    starts_at: datetime
    expires_at: datetime | None
    rule: str
    period: str
    payment_id: str | None
    paid_minor: int | None
    created_at: datetime
    burnt: int = 0
    expired: int = 0
    rolled: int = 0
    is_withdrawn: bool = False
    heir: "Grant | None" = field(default=None, compare=False, repr=False)

    @property
    def base_rule(self) -> str:
        """The rule of the grants that this one goes on from."""
        return self.rule.removesuffix(ROLLED)

    @property
    def revivable(self) -> int:
        """What an expiry or a roll-over that is booked already can still give back to a late call (money.md 21)."""
        return self.expired + (min(self.rolled, self.heir.remaining) if self.heir else 0)

    def recognised_nano(self, burnt: int) -> int:
        """What of the money that was paid for it is revenue once so much of it is burnt (money.md 3)."""
        return self.paid_minor * NANO_PER_MINOR * burnt // self.amount if self.paid_minor else 0

    @property
    def ledger_account(self) -> str:
        return f"grant:{self.id}"

    def valid_at(self, instant: datetime) -> bool:
        return self.starts_at <= instant and (self.expires_at is None or instant < self.expires_at)

    def expired_at(self, instant: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= instant

    @classmethod
    def of_allowance(
        cls, allowance: Allowance, *, grant_id: UUID, account_id: UUID, source: GrantSource, now: datetime
    ) -> "Grant":
        """What a plan gives once, at activation."""
        assert allowance.valid_days is not None
        return cls(
            id=grant_id,
            account_id=account_id,
            source=source,
            unit=allowance.unit,
            amount=allowance.amount,
            remaining=allowance.amount,
            priority=allowance.priority,
            starts_at=now,
            expires_at=now + timedelta(days=allowance.valid_days),
            rule=f"allowance:{allowance.rule}",
            period=ONCE,
            payment_id=None,
            paid_minor=None,
            created_at=now,
        )

    @classmethod
    def carried_on(cls, origin: "Grant", *, amount: int, ends_at: datetime, now: datetime) -> "Grant":
        """What a period left, in the next one."""
        assert origin.expires_at is not None
        rule, period = origin.base_rule + ROLLED, f"{origin.expires_at.isoformat()}/{ends_at.isoformat()}"
        return replace(
            origin,
            id=fact_id("grant", origin.account_id, rule, period),
            amount=amount,
            remaining=amount,
            starts_at=origin.expires_at,
            expires_at=ends_at,
            rule=rule,
            period=period,
            payment_id=None,
            paid_minor=None,
            created_at=now,
            burnt=0,
            expired=0,
            rolled=0,
            heir=None,
        )

    @classmethod
    def bought(cls, payment: PaymentSettled, *, grant_id: UUID, now: datetime) -> "Grant":
        """What a settled payment gives: a bundle from now on, a subscription's payment for the paid period."""
        for_period = payment.kind == "subscription"
        source = GrantSource.PLAN if for_period else GrantSource.BUNDLE
        starts_at, expires_at = _validity(payment, now=now)
        return cls(
            id=grant_id,
            account_id=payment.account_id,
            source=source,
            unit=payment.grant_unit,
            amount=payment.grant_amount,
            remaining=payment.grant_amount,
            priority=PRIORITY[source],
            starts_at=starts_at,
            expires_at=expires_at,
            rule=f"subscription:{payment.plan_id or payment.offer_id}"
            if for_period
            else f"payment:{payment.payment_id}",
            period=f"{starts_at.isoformat()}/{expires_at.isoformat()}" if for_period and expires_at else ONCE,
            payment_id=payment.payment_id,
            paid_minor=payment.paid_minor,
            created_at=now,
        )

    @classmethod
    def adjusted(
        cls,
        *,
        grant_id: UUID,
        account_id: UUID,
        amount: int,
        rule: str,
        expires_at: datetime | None,
        now: datetime,
        unit: Unit = Unit.CREDIT,
    ) -> "Grant":
        """What an operator, or a correction, gives."""
        return cls(
            id=grant_id,
            account_id=account_id,
            source=GrantSource.ADJUSTMENT,
            unit=unit,
            amount=amount,
            remaining=amount,
            priority=PRIORITY[GrantSource.ADJUSTMENT],
            starts_at=now,
            expires_at=expires_at,
            rule=rule,
            period=ONCE,
            payment_id=None,
            paid_minor=None,
            created_at=now,
        )


def _validity(payment: PaymentSettled, *, now: datetime) -> tuple[datetime, datetime | None]:
    if payment.kind == "subscription" and payment.period_start is not None:
        return payment.period_start.astimezone(UTC), payment.period_end and payment.period_end.astimezone(UTC)
    if payment.valid_days is None:
        return now, None
    return now, now + timedelta(days=payment.valid_days)


def burn_order(grant: Grant) -> tuple[bool, int, datetime, datetime, str, UUID]:
    """The plan's own units first, then priority, expiry, creation; what was made at once, in the order of its rules."""
    return (
        grant.unit is Unit.CREDIT,
        grant.priority,
        grant.expires_at or FOREVER,
        grant.created_at,
        grant.rule,
        grant.id,
    )
