"""Stripe Tax: what it needs of the operator, what is due on a payment, and which subscriptions it computes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import stripe

from billing.adapters import shapes
from billing.adapters.stripe_errors import stripe_errors
from billing.domain.taxes import Calculation, TaxStanding
from billing.errors import TaxLocationError

_NOWHERE = "customer_tax_location_invalid"


class StripeTaxes:
    """Writes carry an idempotency key; a calculation has none, it moves nothing and may be asked for again."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def standing(self) -> TaxStanding:
        with stripe_errors():
            settings = (await self._client.v1.tax.settings.retrieve_async()).to_dict()
            page = await self._client.v1.tax.registrations.list_async(params={"status": "active", "limit": 100})
            countries = sorted({str(one.country) async for one in page.auto_paging_iter()})
        return shapes.shaped(lambda body: _standing(body, tuple(countries)), settings)

    async def calculate(
        self, attempt_id: UUID, *, customer: str, payment_method: str, amount_minor: int, currency: str
    ) -> Calculation:
        """What is due on top of an amount where the customer is, else where the card is billed to.

        Raises `TaxLocationError` when Stripe knows neither, or computes nothing for another reason that it names.
        """
        with stripe_errors():
            found = (await self._client.v1.customers.retrieve_async(customer)).to_dict()
            where: dict[str, Any] = {"customer": customer}
            if not (found.get("address") or {}).get("country"):
                where = await self._billed_to(payment_method)
            params: Any = {
                "currency": currency,
                "line_items": [{"amount": amount_minor, "reference": str(attempt_id), "tax_behavior": "exclusive"}],
                **where,
            }
            try:
                made = await self._client.v1.tax.calculations.create_async(params=params)
            except stripe.InvalidRequestError as error:
                raise TaxLocationError(f"Stripe computes no taxes for this payment ({error.code}).") from error
        return shapes.shaped(_calculation, made.to_dict())

    async def _billed_to(self, payment_method: str) -> dict[str, Any]:
        method = (await self._client.v1.payment_methods.retrieve_async(payment_method)).to_dict()
        address = (method.get("billing_details") or {}).get("address") or {}
        if not address.get("country"):
            raise TaxLocationError("Stripe does not know where the customer is.")
        told = {name: value for name, value in address.items() if value}
        return {"customer_details": {"address": told, "address_source": "billing"}}

    async def is_taxed(self, subscription_id: str) -> bool:
        with stripe_errors():
            found = await self._client.v1.subscriptions.retrieve_async(subscription_id)
        return bool((found.to_dict().get("automatic_tax") or {}).get("enabled"))

    async def tax_subscription(self, subscription_id: str, *, is_taxed: bool, key: str) -> None:
        """From its next invoice on. Raises `TaxLocationError`, with everything as it was."""
        with stripe_errors():
            try:
                await self._client.v1.subscriptions.update_async(
                    subscription_id,
                    params={"automatic_tax": {"enabled": is_taxed}},
                    options={"idempotency_key": f"tax-{key}"},
                )
            except stripe.InvalidRequestError as error:
                if error.code == _NOWHERE:
                    raise TaxLocationError("Stripe does not know where the customer is.") from error
                raise


def _standing(body: Mapping[str, Any], countries: tuple[str, ...]) -> TaxStanding:
    pending = (body["status_details"] or {}).get("pending") or {}
    return TaxStanding(
        is_active=body["status"] == "active",
        missing=tuple(pending.get("missing_fields") or ()),
        behaviour=body["defaults"]["tax_behavior"],
        countries=countries,
    )


def _calculation(body: Mapping[str, Any]) -> Calculation:
    return Calculation(body["id"], int(body["amount_total"]), int(body["tax_amount_exclusive"]))
