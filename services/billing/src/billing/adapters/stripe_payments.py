"""Payments while nobody is there, and the ways to pay that Stripe keeps for a customer."""

from typing import Any, Final
from uuid import UUID

import stripe

from billing.adapters import shapes
from billing.adapters.stripe_errors import stripe_errors
from billing.domain.payment_methods import Wallet
from billing.domain.states import Intent

_FEE: Final = "latest_charge.balance_transaction"
_PAGE: Final = 100


class StripePayments:
    """Every write carries an idempotency key that is made from our own ids."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def charge(
        self,
        attempt_id: UUID,
        *,
        customer: str,
        payment_method: str,
        amount_minor: int,
        currency: str,
        description: str,
        tax_calculation: str | None = None,
    ) -> str:
        """Ask for a payment; the id of Stripe's intent. Raises `CardDeclinedError`, which names it too."""
        params: dict[str, Any] = {
            "amount": amount_minor,
            "currency": currency,
            "customer": customer,
            "payment_method": payment_method,
            "off_session": True,
            "confirm": True,
            "description": description,
            "metadata": {"attempt_id": str(attempt_id)},
        }
        if tax_calculation is not None:
            # So that Stripe counts it among the taxes that it reports.
            params["hooks"] = {"inputs": {"tax": {"calculation": tax_calculation}}}
        with stripe_errors():
            intent = await self._client.v1.payment_intents.create_async(
                params=params,  # type: ignore[arg-type]  # its shape depends on the taxes
                options={"idempotency_key": f"attempt-{attempt_id}"},
            )
        return str(intent.id)

    async def confirm(self, intent_id: str, *, payment_method: str, return_url: str, key: str) -> str | None:
        """Try an intent again while its customer is there; where their bank asks them, None where it does not.

        Raises `CardDeclinedError`.
        """
        with stripe_errors():
            intent = await self._client.v1.payment_intents.retrieve_async(intent_id)
            if intent.status in {"requires_payment_method", "requires_confirmation"}:
                intent = await self._client.v1.payment_intents.confirm_async(
                    intent_id,
                    params={"payment_method": payment_method, "return_url": return_url},
                    options={"idempotency_key": f"confirm-{key}"},
                )
        action = (intent.to_dict().get("next_action") or {}).get("redirect_to_url") or {}
        return str(action["url"]) if action.get("url") else None

    async def cancel(self, intent_id: str, *, key: str) -> None:
        """So that it can be paid no more; one that has been paid, or is on its way, stays as it is."""
        with stripe_errors():
            try:
                await self._client.v1.payment_intents.cancel_async(
                    intent_id, options={"idempotency_key": f"cancel-{key}"}
                )
            except stripe.InvalidRequestError as error:
                if error.code != "payment_intent_unexpected_state":
                    raise

    async def find_charge(self, attempt_id: UUID, *, customer: str) -> str | None:
        """The intent that an attempt made in Stripe, if any did: its key there is forgotten after a day."""
        with stripe_errors():
            page = await self._client.v1.payment_intents.list_async(params={"customer": customer, "limit": _PAGE})
            async for intent in page.auto_paging_iter():
                if (intent.to_dict().get("metadata") or {}).get("attempt_id") == str(attempt_id):
                    return str(intent.id)
        return None

    async def get_intent(self, intent_id: str) -> Intent:
        with stripe_errors():
            intent = await self._client.v1.payment_intents.retrieve_async(intent_id, params={"expand": [_FEE]})
        return shapes.shaped(shapes.intent_of, intent.to_dict())

    async def get_wallet(self, customer: str) -> Wallet:
        """The customer's ways to pay, newest first, and the default."""
        with stripe_errors():
            found = (await self._client.v1.customers.retrieve_async(customer)).to_dict()
            page = await self._client.v1.payment_methods.list_async(params={"customer": customer, "limit": _PAGE})
        methods = tuple(shapes.shaped(shapes.payment_method_of, one.to_dict()) for one in page.data)
        told = found.get("invoice_settings") or {}
        return Wallet(methods, shapes.ident(told.get("default_payment_method")))

    async def set_default(self, customer: str, payment_method: str, *, key: str) -> None:
        """Also of running subscriptions: a checkout gives its own the card it was paid with, which goes before."""
        with stripe_errors():
            await self._client.v1.customers.update_async(
                customer,
                params={"invoice_settings": {"default_payment_method": payment_method}},
                options={"idempotency_key": f"default-{key}"},
            )
            page = await self._client.v1.subscriptions.list_async(params={"customer": customer, "limit": _PAGE})
            async for subscription in page.auto_paging_iter():
                if shapes.ident(subscription.to_dict().get("default_payment_method")) not in {None, payment_method}:
                    await self._client.v1.subscriptions.update_async(
                        subscription.id,
                        params={"default_payment_method": payment_method},
                        options={"idempotency_key": f"default-{key}-{subscription.id}"},
                    )

    async def detach(self, payment_method: str, *, key: str) -> None:
        with stripe_errors():
            await self._client.v1.payment_methods.detach_async(
                payment_method, options={"idempotency_key": f"detach-{key}"}
            )
