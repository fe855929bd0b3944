"""Asks each party: the services' own databases and public routes, and Stripe's API."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

import asyncpg

from sandbox.demo.customer import Customer
from sandbox.demo.money.said import BillingSays, GatewaySays, LedgerSays, Said, StripeSays
from sandbox.demo.money.stripe_desk import StripeDesk
from sandbox.faregate import MovedFaregate

_PAYMENTS: Final = "SELECT payment_id, paid_minor, fee_minor, grant_amount FROM payment WHERE account_id = $1"
_BACK: Final = "SELECT coalesce(sum(reversed_minor), 0) FROM reversal WHERE account_id = $1 AND state <> 'won'"
_ACCRUED: Final = """
    SELECT coalesce(sum(amount_nano) FILTER (WHERE announced_at IS NOT NULL), 0) AS announced,
           coalesce(sum(amount_nano) FILTER (WHERE announced_at IS NULL), 0) AS waiting
    FROM overage_accrual WHERE account_id = $1
"""
_LOST: Final = "SELECT count(*) FROM reversal WHERE account_id = $1 AND state = 'lost'"
_SETTLED: Final = """
    SELECT id, amount_minor, fee_minor, grant_nano FROM payment WHERE account_id = $1 AND status = 'settled'
"""
_HEARD: Final = "SELECT coalesce(sum(amount_nano), 0) FROM overage_fact WHERE account_id = $1"
_REPORTED: Final = "SELECT coalesce(sum(units), 0) FROM overage WHERE account_id = $1 AND state = 'accepted'"
_CARRIED: Final = "SELECT coalesce(sum(carry_nano), 0) FROM overage_carry WHERE account_id = $1"
_COMPARED: Final = "SELECT count(*) FROM meter_check WHERE account_id = $1 AND period_end >= $2"
ENDED: Final = ("canceled", "incomplete_expired")


class Reader:
    """Reads everything about one customer."""

    def __init__(self, product: MovedFaregate, customer: Customer, stripe: StripeDesk) -> None:
        self._product = product
        self._customer = customer
        self._stripe = stripe
        self._began = product.now()
        self.account_id = ""

    async def read(self) -> Said:
        at = self._product.now()
        ledger, billing, stripe, gateway = await asyncio.gather(
            self._ledger(), self._billing(), self._ask_stripe(at), self._gateway()
        )
        return Said(at, ledger, billing, stripe, gateway)

    async def is_compared(self, period_end: datetime) -> bool:
        """Whether billing has looked at a month's meter while its invoice was a draft."""
        async with _Books(self._product, "billing", self.account_id) as books:
            return await books.number(_COMPARED, period_end) > 0

    async def is_lost(self) -> bool:
        """Whether a dispute is lost in the ledger's books."""
        async with _Books(self._product, "ledger", self.account_id) as books:
            return await books.number(_LOST) > 0

    async def _ledger(self) -> LedgerSays:
        balance = await self._customer.get("/ledger/balance")
        async with _Books(self._product, "ledger", self.account_id) as books:
            payments = await books.rows(_PAYMENTS)
            accrued = (await books.rows(_ACCRUED))[0]
            back = await books.number(_BACK)
        return LedgerSays(
            plan=balance["plan"],
            paid_minor=sum(one["paid_minor"] for one in payments),
            fees={one["payment_id"]: one["fee_minor"] for one in payments},
            granted={one["payment_id"]: one["grant_amount"] for one in payments},
            back_minor=back,
            overage_nano=int(accrued["announced"]),
            unannounced_nano=int(accrued["waiting"]),
            left=_left(balance["units"]),
            debt=Decimal(balance["debt_credits"]),
        )

    async def _billing(self) -> BillingSays:
        subscription = (await self._customer.get("/billing/subscription"))["subscription"] or {}
        invoices = [one for one in await self._customer.all_pages("/billing/invoices") if one["status"] != "draft"]
        payments = await self._customer.all_pages("/billing/payments")
        async with _Books(self._product, "billing", self.account_id) as books:
            settled = await books.rows(_SETTLED)
            heard, reported, carried = [await books.number(sql) for sql in (_HEARD, _REPORTED, _CARRIED)]
        until = subscription.get("grace_until")
        return BillingSays(
            plan=subscription.get("plan"),
            status=subscription.get("status"),
            grace_until=datetime.fromisoformat(until) if until else None,
            paid={one["id"]: one["amount_minor"] for one in settled if one["amount_minor"]},
            fees={one["id"]: one["fee_minor"] for one in settled},
            granted={one["id"]: one["grant_nano"] for one in settled},
            back_minor=sum(_minor(one["reversed"]) for one in payments),
            invoices={one["id"]: (one["status"], _minor(one["total"]), _minor(one["paid"])) for one in invoices},
            use_minor=sum(_use_minor(one) for one in invoices if one["status"] == "paid"),
            heard_nano=heard,
            reported_units=reported,
            carried_nano=carried,
        )

    async def _ask_stripe(self, at: datetime) -> StripeSays:
        stripe, customer = self._stripe, await self._stripe.customer_of(self.account_id)
        if customer is None:
            return StripeSays(None, None, {}, {}, 0, {}, 0, 0, 0, 0)
        subscription, charges = await stripe.subscription(customer), await stripe.charges(customer)
        all_invoices = await stripe.invoices(customer)
        invoices = [one for one in all_invoices if one.status != "draft"]
        back = [await stripe.refunded_minor(one) + await stripe.disputed_minor(one) for one in charges]
        item = subscription["items"]["data"][0] if subscription else None
        counted = await stripe.counted_units(customer, start=self._began, end=at)
        still_open = 0
        if item is not None and subscription is not None and subscription["status"] not in ENDED:
            since = datetime.fromtimestamp(item["current_period_start"], tz=at.tzinfo)
            still_open = await stripe.counted_units(customer, start=since, end=at)
        return StripeSays(
            plan=item["price"]["metadata"]["offer"] if item else None,
            status=subscription["status"] if subscription else None,
            paid={one["payment_intent"]: one["amount"] for one in charges},
            fees={one["payment_intent"]: one["balance_transaction"]["fee"] for one in charges},
            back_minor=sum(back),
            invoices={one.id: (one.status, one.total_minor, one.paid_minor) for one in invoices},
            use_minor=sum(one.use_minor for one in invoices if one.status == "paid"),
            counted_units=counted,
            invoiced_units=sum(one.use_units for one in all_invoices),
            open_units=still_open,
        )

    async def _gateway(self) -> GatewaySays:
        limits = await self._customer.get("/v1/limits")
        busy = [one for one in limits["amounts"] if Decimal(one["held"]) or Decimal(one["unconfirmed"])]
        left = [one for one in limits["amounts"] if one["unit"] != "overage"]
        return GatewaySays(limits["plan"], _left(left), bool(busy or limits["open_calls"]))


class _Books:
    """One service's database, for as long as it takes to read one account's rows."""

    def __init__(self, product: MovedFaregate, service: str, account_id: str) -> None:
        self._url = product.stack.database_url(service)
        self._account_id = account_id

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def rows(self, sql: str) -> list[Mapping[str, Any]]:
        return list(await self._connection.fetch(sql, self._account_id))

    async def number(self, sql: str, *values: object) -> int:
        return int(await self._connection.fetchval(sql, self._account_id, *values))


def _left(units: list[dict[str, Any]]) -> dict[str, Decimal]:
    """What is there; a unit of which nothing is left says the same as one that never was."""
    return {one["unit"]: Decimal(one["available"]) for one in units if Decimal(one["available"])}


def _use_minor(invoice: dict[str, Any]) -> int:
    return sum(_minor(line["amount"]) for line in invoice["lines"] if line["use"])


def _minor(amount: str) -> int:
    return int(Decimal(amount) * 100)
