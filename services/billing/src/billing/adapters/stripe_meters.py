"""Stripe's meter of overage: the meter and its prices, the items that bill it, its events and what it has counted."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import stripe

from billing.adapters.shapes import ident, instant, shaped
from billing.adapters.stripe_errors import stripe_errors
from billing.domain.overage import METER, UNIT_PRICE_MINOR, Owed, Report, UseLine, metered_key
from billing.errors import StripeMissingError

_NAME: Final = "Use past the plan"
_ALREADY: Final = "already exists"
_TOO_OLD: Final = frozenset({"timestamp_too_far_in_past"})


class StripeMeters:
    """Reads what is there before it makes anything, so that an installation has one meter."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client
        self._meter_id: str | None = None

    async def meter_id(self) -> str:
        if self._meter_id is None:
            self._meter_id = await self._find_meter() or await self._create_meter()
        return self._meter_id

    async def _find_meter(self) -> str | None:
        with stripe_errors():
            page = await self._client.v1.billing.meters.list_async(params={"status": "active", "limit": 100})
            async for meter in page.auto_paging_iter():
                if meter.event_name == METER:
                    return str(meter.id)
        return None

    async def _create_meter(self) -> str:
        with stripe_errors():
            made = await self._client.v1.billing.meters.create_async(
                params={"display_name": _NAME, "event_name": METER, "default_aggregation": {"formula": "sum"}},
                options={"idempotency_key": f"meter-{METER}"},
            )
        return str(made.id)

    async def has_meter(self) -> bool:
        return self._meter_id is not None or await self._find_meter() is not None

    async def ensure_price(self, *, currency: str, interval: str) -> str:
        """The price of a unit, made once for each currency and interval."""
        key = metered_key(currency, interval)
        with stripe_errors():
            found = await self._client.v1.prices.list_async(params={"lookup_keys": [key], "limit": 1})
            if found.data:
                return str(found.data[0].id)
            params: dict[str, Any] = {
                "currency": currency,
                "lookup_key": key,
                "product_data": {"name": _NAME},
                "recurring": {"interval": interval, "usage_type": "metered", "meter": await self.meter_id()},
                "unit_amount_decimal": UNIT_PRICE_MINOR,
            }
            made = await self._client.v1.prices.create_async(
                params=params,  # type: ignore[arg-type]  # the SDK types decimals otherwise than it sends them
                options={"idempotency_key": f"price-{key}"},
            )
        return str(made.id)

    async def ensure_item(self, subscription_id: str) -> tuple[str, datetime]:
        """The subscription's item that bills the meter, and since when it counts."""
        with stripe_errors():
            subscription = (await self._client.v1.subscriptions.retrieve_async(subscription_id)).to_dict()
        meter = await self.meter_id()
        items = subscription["items"]["data"]
        for item in items:
            if item["price"]["recurring"].get("meter") == meter:
                return str(item["id"]), instant(item["created"])
        interval = items[0]["price"]["recurring"]["interval"]
        price = await self.ensure_price(currency=subscription["currency"], interval=interval)
        with stripe_errors():
            made = await self._client.v1.subscription_items.create_async(
                params={"subscription": subscription_id, "price": price, "proration_behavior": "none"},
                options={"idempotency_key": f"metered-item-{subscription_id}"},
            )
        return str(made.id), instant(made.created)

    async def report(self, owed: Owed, *, customer: str, dated_at: datetime) -> Report:
        """One try. The identifier is what makes it count once: an idempotency key would repeat a 500 for a day."""
        try:
            await self._client.v1.billing.meter_events.create_async(
                params={
                    "event_name": METER,
                    "identifier": owed.identifier,
                    "payload": {"stripe_customer_id": customer, "value": str(owed.units)},
                    "timestamp": int(dated_at.timestamp()),
                }
            )
        except stripe.InvalidRequestError as error:
            return _refused(error)
        except (stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError) as error:
            return Report("not_sent", type(error).__name__)
        except stripe.StripeError as error:
            return Report("unknown", type(error).__name__)
        return Report("accepted")

    async def count(self, customer: str, *, start: datetime, end: datetime) -> int:
        """What the meter has counted of a customer in whole minutes from `start` to `end`."""
        meter = await self.meter_id()
        window = {"start_time": _minute(start), "end_time": _minute(end, up=True)}
        with stripe_errors():
            page = await self._client.v1.billing.meters.event_summaries.list_async(
                meter,
                params={"customer": customer, "limit": 100, **window},  # type: ignore[typeddict-item]
            )
        return sum(int(one.aggregated_value) for one in page.data)

    async def cancel(self, identifier: str) -> bool:
        """Take one event back; False when Stripe no longer knows it."""
        try:
            with stripe_errors():
                await self._client.v1.billing.meter_event_adjustments.create_async(
                    params={"event_name": METER, "type": "cancel", "cancel": {"identifier": identifier}},
                    options={"idempotency_key": f"cancel-{identifier}"},
                )
        except StripeMissingError:
            return False
        return True

    async def wrong_identifiers(self, event_id: str) -> list[tuple[str, str]]:
        """Which of our events a report of Stripe's names, each with its error's code."""
        with stripe_errors():
            event = (await self._client.v2.core.events.retrieve_async(event_id)).to_dict()
        return shaped(_wrong, event)

    async def list_use_lines(self, customer: str, *, start: datetime, end: datetime) -> list[UseLine]:
        """Lines for the meter's prices on the customer's invoices that were made in [start, end)."""
        params: Any = {
            "customer": customer,
            "created": {"gte": int(start.timestamp()), "lt": int(end.timestamp())},
            "limit": 100,
        }
        with stripe_errors():
            page = await self._client.v1.invoices.list_async(params=params)
            bodies = [invoice.to_dict() async for invoice in page.auto_paging_iter()]
            prices = [price async for price in self._prices({str(body["currency"]) for body in bodies})]
        return [line for body in bodies for line in shaped(lambda one: _use_lines(one, prices), body)]

    async def _prices(self, currencies: Iterable[str]) -> AsyncIterator[str]:
        for currency in sorted(currencies):
            keys = [metered_key(currency, interval) for interval in ("month", "year")]
            page = await self._client.v1.prices.list_async(params={"lookup_keys": keys, "limit": 100})
            for price in page.data:
                yield str(price.id)

    async def bill(self, customer: str, *, amount_minor: int, currency: str, key: str, words: str) -> None:
        """An amount on the customer's next invoice; a negative one gives back."""
        with stripe_errors():
            await self._client.v1.invoice_items.create_async(
                params={"customer": customer, "amount": amount_minor, "currency": currency, "description": words},
                options={"idempotency_key": key},
            )

    async def credit(self, customer: str, credit_id: UUID, *, amount_minor: int, currency: str, words: str) -> str:
        """Give an amount back on the customer's next invoice; the id of Stripe's item."""
        with stripe_errors():
            made = await self._client.v1.invoice_items.create_async(
                params={
                    "customer": customer,
                    "amount": -amount_minor,
                    "currency": currency,
                    "description": words,
                    "metadata": {"credit_id": str(credit_id)},
                },
                options={"idempotency_key": f"overage-credit-{credit_id}"},
            )
        return str(made.id)

    async def find_credit(self, customer: str, credit_id: UUID) -> str | None:
        """The item that a credit made in Stripe, if any try did."""
        with stripe_errors():
            page = await self._client.v1.invoice_items.list_async(params={"customer": customer, "limit": 100})
            async for item in page.auto_paging_iter():
                if (item.to_dict().get("metadata") or {}).get("credit_id") == str(credit_id):
                    return str(item.id)
        return None


def _refused(error: stripe.InvalidRequestError) -> Report:
    if error.code in _TOO_OLD:
        return Report("too_old", error.code)
    if error.code == "duplicate_meter_event" or _ALREADY in str(error):
        return Report("accepted", "known to Stripe already")
    if error.code == "timestamp_in_future":
        return Report("not_sent", error.code)
    return Report("rejected", error.code or "invalid_request")


def _wrong(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(sample["request"]["identifier"]), str(kind["code"]))
        for kind in event["data"]["reason"]["error_types"]
        for sample in kind["sample_errors"]
    ]


def _use_lines(invoice: Mapping[str, Any], prices: list[str]) -> list[UseLine]:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return [
        UseLine(
            invoice_id=invoice["id"],
            subscription_id=ident(details.get("subscription")),
            status=invoice["status"],
            units=int(line["quantity"] or 0),
            amount_minor=int(line["amount"]),
            period_start=instant(line["period"]["start"]),
            period_end=instant(line["period"]["end"]),
        )
        for line in invoice["lines"]["data"]
        if line["pricing"] and ident(line["pricing"]["price_details"]["price"]) in prices
    ]


def _minute(at: datetime, *, up: bool = False) -> int:
    seconds = int((at + timedelta(seconds=59 if up else 0)).timestamp())
    return seconds - seconds % 60
