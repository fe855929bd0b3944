"""Stripe, through its official SDK: the only place that knows its calls and errors."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import stripe

from billing.adapters import shapes
from billing.adapters.stripe_catalogue import StripeCatalogue
from billing.adapters.stripe_errors import stripe_errors
from billing.adapters.stripe_meters import StripeMeters
from billing.adapters.stripe_payments import StripePayments
from billing.adapters.stripe_taxes import StripeTaxes
from billing.domain.offers import Purchase, Terms
from billing.domain.states import (
    CheckoutSession,
    CreditNote,
    Dispute,
    Intent,
    Invoice,
    Refund,
    StripeEvent,
    Subscription,
)

TIMEOUT_S: Final = 8.0
RETRIES: Final = 2
TYPES_AT_ONCE: Final = 20
_FEE: Final = "latest_charge.balance_transaction"


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a checkout asks of Stripe; the key makes a second request the same session. Without a purchase: a card."""

    key: str
    account_id: UUID
    customer: str
    purchase: Purchase | None
    price_id: str | None
    success_url: str
    cancel_url: str
    trial_days: int | None = None
    is_taxed: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        named = {"account_id": str(self.account_id)}
        if self.purchase is None:
            return named
        terms = self.purchase.terms
        return {**named, "offer": terms.offer_id, "offer_version": str(terms.version)}


class StripeApi:
    """One client for one event loop. Every write carries an idempotency key that is made from our own ids."""

    def __init__(
        self, secret_key: str, *, api_url: str, http: stripe.HTTPXClient | None = None, retries: int = RETRIES
    ) -> None:
        """`http` is for those who want to stand on the way to Stripe."""
        self._http = http or stripe.HTTPXClient(timeout=TIMEOUT_S)
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            base_addresses={"api": api_url},
            max_network_retries=retries,
        )
        self.payments = StripePayments(self._client)
        self.catalogue = StripeCatalogue(self._client)
        self.meters = StripeMeters(self._client)
        self.taxes = StripeTaxes(self._client)

    @property
    def client(self) -> stripe.StripeClient:
        return self._client

    async def hold_open(self) -> None:
        """Run in the background; closes the connections when it is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own gap

    async def create_customer(self, account_id: UUID) -> str:
        with stripe_errors():
            customer = await self._client.v1.customers.create_async(
                params={"metadata": {"account_id": str(account_id)}},
                options={"idempotency_key": f"customer-{account_id}"},
            )
        return str(customer.id)

    async def create_price(self, terms: Terms, currency: str) -> tuple[str, str]:
        """The price and product of a version, made once: `(price id, product id)`. Never edited."""
        key = terms.lookup_key(currency)
        with stripe_errors():
            found = await self._client.v1.prices.list_async(params={"lookup_keys": [key], "limit": 1})
            if found.data:
                return _price_ids(found.data[0])
            product = await self._create_product(terms)
            params: dict[str, Any] = {
                "product": product,
                "currency": currency,
                "unit_amount": terms.prices[currency],
                "lookup_key": key,
                "metadata": {"offer": terms.offer_id, "offer_version": str(terms.version)},
            }
            if terms.interval != "none":
                params["recurring"] = {"interval": terms.interval}
            price = await self._client.v1.prices.create_async(
                params=params,  # type: ignore[arg-type]  # its shape depends on the interval
                options={"idempotency_key": f"price-{key}"},
            )
        return _price_ids(price)

    async def _create_product(self, terms: Terms) -> str:
        key = terms.product_key
        try:
            product = await self._client.v1.products.create_async(
                params={"id": key, "name": terms.spec.name, "metadata": {"offer": terms.offer_id}},
                options={"idempotency_key": f"product-{key}"},
            )
        except stripe.InvalidRequestError as error:
            if error.code != "resource_already_exists":
                raise
            return key
        return str(product.id)

    async def create_product(self, terms: Terms) -> str:
        """The product of an offer whose amount is free, made once."""
        with stripe_errors():
            return await self._create_product(terms)

    async def create_session(self, wanted: NewSession) -> CheckoutSession:
        with stripe_errors():
            session = await self._client.v1.checkout.sessions.create_async(
                params=_session_params(wanted),  # type: ignore[arg-type]  # its shape depends on the mode
                options={"idempotency_key": f"checkout-{wanted.key}"},
            )
        return shapes.shaped(shapes.session_of, session.to_dict())

    async def get_session(self, session_id: str) -> CheckoutSession:
        with stripe_errors():
            session = await self._client.v1.checkout.sessions.retrieve_async(
                session_id, params={"expand": ["line_items", f"payment_intent.{_FEE}"]}
            )
        return shapes.shaped(shapes.session_of, session.to_dict())

    async def get_subscription(self, subscription_id: str) -> Subscription:
        with stripe_errors():
            subscription = await self._client.v1.subscriptions.retrieve_async(subscription_id)
        return shapes.shaped(shapes.subscription_of, subscription.to_dict())

    async def get_intent(self, intent_id: str) -> Intent:
        with stripe_errors():
            intent = await self._client.v1.payment_intents.retrieve_async(intent_id, params={"expand": [_FEE]})
        return shapes.shaped(shapes.intent_of, intent.to_dict())

    async def get_invoice(self, invoice_id: str) -> Invoice:
        """The invoice and its payment: since API 2025-03-31 the way there leads over `payments`."""
        with stripe_errors():
            invoice = await self._client.v1.invoices.retrieve_async(invoice_id, params={"expand": ["payments"]})
        body = invoice.to_dict()
        intent_id = shapes.shaped(shapes.intent_id_of_invoice, body)
        intent = await self.get_intent(intent_id) if intent_id else None
        return shapes.shaped(lambda whole: shapes.invoice_of(whole, intent), body)

    async def find_session_of_payment(self, intent_id: str) -> CheckoutSession | None:
        with stripe_errors():
            found = await self._client.v1.checkout.sessions.list_async(params={"payment_intent": intent_id, "limit": 1})
        return await self.get_session(found.data[0].id) if found.data else None

    async def find_invoice_of_payment(self, intent_id: str) -> Invoice | None:
        with stripe_errors():
            found = await self._client.v1.invoice_payments.list_async(
                params={"payment": {"type": "payment_intent", "payment_intent": intent_id}, "limit": 1}
            )
        invoice_id = shapes.ident(found.data[0].to_dict()["invoice"]) if found.data else None
        return await self.get_invoice(invoice_id) if invoice_id else None

    async def find_payment_of_charge(self, charge_id: str) -> str | None:
        with stripe_errors():
            charge = await self._client.v1.charges.retrieve_async(charge_id)
        return shapes.ident(charge.to_dict().get("payment_intent"))

    async def find_payment_of_refund(self, refund_id: str) -> str | None:
        with stripe_errors():
            refund = await self._client.v1.refunds.retrieve_async(refund_id)
        return shapes.ident(refund.to_dict().get("payment_intent"))

    async def find_customer_of_setup(self, setup_id: str) -> str | None:
        with stripe_errors():
            setup = await self._client.v1.setup_intents.retrieve_async(setup_id)
        return shapes.ident(setup.to_dict().get("customer"))

    async def find_customer_of_method(self, method_id: str) -> str | None:
        with stripe_errors():
            method = await self._client.v1.payment_methods.retrieve_async(method_id)
        return shapes.ident(method.to_dict().get("customer"))

    async def get_credit_note(self, note_id: str) -> CreditNote:
        with stripe_errors():
            note = await self._client.v1.credit_notes.retrieve_async(note_id)
        return shapes.shaped(shapes.credit_note_of, note.to_dict())

    async def list_refunds(self, intent_id: str) -> tuple[Refund, ...]:
        with stripe_errors():
            page = await self._client.v1.refunds.list_async(params={"payment_intent": intent_id, "limit": 100})
            bodies = [refund.to_dict() async for refund in page.auto_paging_iter()]
        return tuple(shapes.shaped(shapes.refund_of, body) for body in bodies)

    async def get_dispute(self, dispute_id: str) -> tuple[Dispute, str | None]:
        """The dispute, and the payment that it is about."""
        with stripe_errors():
            dispute = await self._client.v1.disputes.retrieve_async(dispute_id)
        body = dispute.to_dict()
        return shapes.shaped(shapes.dispute_of, body), shapes.ident(body.get("payment_intent"))

    async def list_events(
        self, since: datetime, *, types: list[str], undelivered: bool = False
    ) -> AsyncIterator[StripeEvent]:
        """Events of these types since an instant, newest first per twenty types: Stripe takes no more at once."""
        told = {"delivery_success": False} if undelivered else {}
        for first in range(0, len(types), TYPES_AT_ONCE):
            asked = types[first : first + TYPES_AT_ONCE]
            params: Any = {"created": {"gte": int(since.timestamp())}, "types": asked, "limit": 100, **told}
            with stripe_errors():
                page = await self._client.v1.events.list_async(params=params)
                async for event in page.auto_paging_iter():
                    yield shapes.shaped(shapes.event_of, event.to_dict())


def _price_ids(price: stripe.Price) -> tuple[str, str]:
    body = price.to_dict()
    return str(body["id"]), str(shapes.ident(body["product"]))


def _session_params(wanted: NewSession) -> dict[str, Any]:
    params: dict[str, Any] = {
        "customer": wanted.customer,
        "client_reference_id": str(wanted.account_id),
        "metadata": wanted.metadata,
        "success_url": wanted.success_url,
        "cancel_url": wanted.cancel_url,
    }
    purchase = wanted.purchase
    if wanted.is_taxed:
        params |= _taxed(is_setup=purchase is None)
    if purchase is None:
        return {**params, "mode": "setup", "currency": "usd", "setup_intent_data": {"metadata": wanted.metadata}}
    carried: dict[str, Any] = {"metadata": wanted.metadata, "description": purchase.terms.spec.name}
    if wanted.trial_days is not None:
        carried["trial_period_days"] = wanted.trial_days
    return {
        **params,
        "mode": "subscription" if purchase.terms.is_plan else "payment",
        "line_items": [_line_item(purchase, wanted.price_id)],
        # Stripe would otherwise show, and settle, another currency than the offer's.
        "adaptive_pricing": {"enabled": False},
        "subscription_data" if purchase.terms.is_plan else "payment_intent_data": carried,
    }


def _taxed(*, is_setup: bool) -> dict[str, Any]:
    """Taxes need a place; while a card is set up Stripe computes none, but learns where it is billed to."""
    asked = {"billing_address_collection": "required"}
    if is_setup:
        return asked
    return {
        **asked,
        "automatic_tax": {"enabled": True},
        "customer_update": {"address": "auto", "name": "auto"},
        "tax_id_collection": {"enabled": True},
    }


def _line_item(purchase: Purchase, price_id: str | None) -> dict[str, Any]:
    if purchase.amount_minor is None:
        return {"price": price_id, "quantity": purchase.quantity}
    product = purchase.terms.product_key
    inline = {"product": product, "currency": purchase.currency, "unit_amount": purchase.amount_minor}
    return {"price_data": inline, "quantity": 1}
