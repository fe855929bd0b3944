"""The switch for automatic taxes: off until Stripe can collect them, and only for what begins while it is on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from billing import metrics
from billing.adapters.stripe_taxes import StripeTaxes
from billing.domain.taxes import AUTOMATIC_TAX, Calculation, TaxStanding
from billing.errors import TaxesNotReadyError, TaxLocationError
from billing.repository import flags, payments, switches
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7

log = logging.get(__name__)

Change = Literal["taxed", "untaxed", "no address"]


@dataclass(frozen=True, slots=True)
class Switched:
    """Where the switch stands, and what Stripe says of it now."""

    is_on: bool
    standing: TaxStanding

    @property
    def collects_nothing(self) -> bool:
        """Switched on, and Stripe no longer collects: a registration ended, or a setting was changed."""
        return self.is_on and bool(self.standing.problems)


@dataclass(frozen=True, slots=True)
class TaxedSubscription:
    """A running subscription that does not follow the switch yet, and what becomes of it."""

    account_id: UUID
    subscription_id: str
    change: Change


@dataclass(frozen=True, slots=True)
class Taxes:
    """Stripe is asked between transactions, never inside one."""

    database: Database
    stripe: StripeTaxes
    clock: Clock

    async def show(self) -> Switched:
        standing = await self.stripe.standing()
        async with self.database.reading() as session:
            found = Switched(await switches.is_on(session, AUTOMATIC_TAX), standing)
        metrics.TAX_COLLECTS_NOTHING.set(int(found.collects_nothing))
        if found.collects_nothing:
            log.error("billing.tax_collects_nothing", reasons=list(standing.problems))
        return found

    async def watch(self) -> None:
        """Ask Stripe again while the switch is on: a registration may end without anybody telling us."""
        async with self.database.reading() as session:
            is_on = await switches.is_on(session, AUTOMATIC_TAX)
        if is_on:
            await self.show()
        else:
            metrics.TAX_COLLECTS_NOTHING.set(0)

    async def turn(self, *, is_on: bool, actor: str, reason: str) -> Switched:
        """Raises `TaxesNotReadyError` naming everything that stands against it; off is always possible."""
        standing = await self.stripe.standing()
        if is_on and standing.problems:
            raise TaxesNotReadyError(f"Taxes stay off: {'; '.join(standing.problems)}.")
        now = self.clock.now()
        async with self.database.transaction() as session:
            before = await switches.is_on(session, AUTOMATIC_TAX)
            await switches.save_switch(session, AUTOMATIC_TAX, is_on=is_on, now=now)
            await flags.insert_audit(
                session,
                id=uuid7(self.clock),
                actor=actor,
                action=f"tax.{'on' if is_on else 'off'}",
                target=AUTOMATIC_TAX,
                reason=reason,
                before={"is_on": before},
                after={"is_on": is_on},
                recorded_at=now,
            )
        return Switched(is_on, standing)

    async def follow(self, *, apply: bool) -> Sequence[TaxedSubscription]:
        """Running subscriptions that do not follow the switch; with `apply` they do from their next invoice on."""
        async with self.database.reading() as session:
            is_on = await switches.is_on(session, AUTOMATIC_TAX)
            rows = await payments.list_living_of_plan(session, None)
        return [
            TaxedSubscription(row.account_id, row.id, await self._change(row.id, is_on, apply=apply))
            for row in rows
            if await self.stripe.is_taxed(row.id) != is_on
        ]

    async def _change(self, subscription_id: str, is_on: bool, *, apply: bool) -> Change:  # noqa: FBT001
        wanted: Change = "taxed" if is_on else "untaxed"
        if not apply:
            return wanted
        try:
            await self.stripe.tax_subscription(subscription_id, is_taxed=is_on, key=uuid7(self.clock).hex)
        except TaxLocationError:
            return "no address"
        return wanted


async def due_on_top(
    stripe: StripeTaxes,
    attempt_id: UUID,
    *,
    customer: str,
    payment_method: str,
    amount_minor: int,
    currency: str,
) -> Calculation | None:
    """The taxes of a payment that nobody is there for; None where Stripe cannot place the customer.

    Stripe's own invoices go on without taxes then, and so does this: counted, so that somebody asks for an address.
    """
    try:
        return await stripe.calculate(
            attempt_id,
            customer=customer,
            payment_method=payment_method,
            amount_minor=amount_minor,
            currency=currency,
        )
    except TaxLocationError as error:
        metrics.TAX_NOT_PLACED.inc()
        log.warning("billing.tax_not_placed", attempt_id=str(attempt_id), reason=error.detail)
        return None
