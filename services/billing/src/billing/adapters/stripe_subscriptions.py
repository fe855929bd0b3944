"""Changing subscriptions in Stripe, and what a change would cost before it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import stripe

from billing.adapters import shapes
from billing.adapters.stripe_errors import stripe_errors
from billing.domain.states import Invoice, Kept, Subscription

_NOTHING_KEPT: Final = dict.fromkeys(("kept_plan", "kept_version", "kept_quantity", "kept_until"), "")
"""An empty word takes a key out of Stripe's metadata."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """What the subscription's one paid item becomes."""

    subscription_id: str
    item_id: str
    price_id: str
    quantity: int

    @property
    def items(self) -> list[dict[str, Any]]:
        return [{"id": self.item_id, "price": self.price_id, "quantity": self.quantity}]


class StripeSubscriptions:
    """Every write carries the idempotency key that it is given."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def preview(self, wanted: NewItem, *, customer: str, at: datetime) -> Invoice:
        """The invoice that a change at once would make; nothing is changed."""
        details: dict[str, Any] = {
            "items": wanted.items,
            "proration_behavior": "always_invoice",
            "proration_date": int(at.timestamp()),
        }
        params: dict[str, Any] = {
            "customer": customer,
            "subscription": wanted.subscription_id,
            "subscription_details": details,
        }
        with stripe_errors():
            invoice = await self._client.v1.invoices.create_preview_async(params=params)  # type: ignore[arg-type]
        return shapes.shaped(lambda body: shapes.invoice_of(body, None), invoice.to_dict())

    async def change_now(self, wanted: NewItem, *, at: datetime | None, key: str) -> Subscription:
        """Take hold at once and collect the difference; when it is declined, nothing has changed."""
        params: dict[str, Any] = {
            "items": wanted.items,
            "proration_behavior": "always_invoice",
            "payment_behavior": "error_if_incomplete",
            "cancel_at_period_end": False,
            "metadata": _NOTHING_KEPT,
        }
        if at is not None:
            params["proration_date"] = int(at.timestamp())
        return await self._update(wanted.subscription_id, params, key=key)

    async def change_later(self, wanted: NewItem, kept: Kept, *, key: str) -> Subscription:
        """The next period is at the new price; what was paid holds until then, and is noted on the subscription."""
        params = {
            "items": wanted.items,
            "proration_behavior": "none",
            "cancel_at_period_end": False,
            "metadata": kept.metadata,
        }
        return await self._update(wanted.subscription_id, params, key=key)

    async def keep(self, wanted: NewItem, *, key: str) -> Subscription:
        """Take back what was to change at the period's end, and an ending at it."""
        params = {
            "items": wanted.items,
            "proration_behavior": "none",
            "cancel_at_period_end": False,
            "metadata": _NOTHING_KEPT,
        }
        return await self._update(wanted.subscription_id, params, key=key)

    async def cancel_at_period_end(self, subscription_id: str, *, key: str) -> Subscription:
        return await self._update(subscription_id, {"cancel_at_period_end": True}, key=key)

    async def cancel_now(self, subscription_id: str, *, key: str) -> Subscription:
        """End it with a last invoice for what was used past the plan; without one Stripe would never ask for that."""
        with stripe_errors():
            try:
                found = await self._client.v1.subscriptions.cancel_async(
                    subscription_id,
                    params={"invoice_now": True, "prorate": False},
                    options={"idempotency_key": f"subscription-{key}"},
                )
            except stripe.InvalidRequestError as error:
                if error.code != "resource_missing":
                    raise
                # Stripe heeds no key here, and has nothing to cancel any more: an earlier try did it.
                found = await self._client.v1.subscriptions.retrieve_async(subscription_id)
        return shapes.shaped(shapes.subscription_of, found.to_dict())

    async def open_portal(self, customer: str, *, return_url: str, configuration: str | None, key: str) -> str:
        """The address of Stripe's own pages for this customer; it is good for minutes."""
        params: dict[str, Any] = {"customer": customer, "return_url": return_url}
        if configuration is not None:
            params["configuration"] = configuration
        with stripe_errors():
            portal = await self._client.v1.billing_portal.sessions.create_async(
                params=params,  # type: ignore[arg-type]
                options={"idempotency_key": f"portal-{key}"},
            )
        return str(portal.url)

    async def _update(self, subscription_id: str, params: Mapping[str, Any], *, key: str) -> Subscription:
        with stripe_errors():
            found = await self._client.v1.subscriptions.update_async(
                subscription_id,
                params=dict(params),  # type: ignore[arg-type]  # its shape depends on the change
                options={"idempotency_key": f"subscription-{key}"},
            )
        return shapes.shaped(shapes.subscription_of, found.to_dict())
