"""Stripe, through its official SDK: the only place that knows its calls and errors."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import stripe

from billing.adapters import shapes
from billing.domain.catalogue import Terms
from billing.domain.states import CheckoutSession, Dispute, Intent, Invoice, Refund, StripeEvent, Subscription
from billing.errors import StripeMissingError, StripeRefusedError, StripeUnavailableError
from kit import logging

log = logging.get(__name__)

TIMEOUT_S: Final = 8.0
RETRIES: Final = 2
RETRY_AFTER_S: Final = 5
_FEE: Final = "latest_charge.balance_transaction"


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a checkout asks of Stripe; the key makes a second request the same session."""

    key: str
    account_id: UUID
    customer: str
    terms: Terms
    price_id: str
    success_url: str
    cancel_url: str

    @property
    def metadata(self) -> dict[str, str]:
        return {
            "account_id": str(self.account_id),
            "offer": self.terms.offer_id,
            "offer_version": str(self.terms.version),
        }


class StripeApi:
    """One client for one event loop. Every write carries an idempotency key that is made from our own ids."""

    def __init__(self, secret_key: str, *, api_url: str) -> None:
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_S)
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            base_addresses={"api": api_url},
            max_network_retries=RETRIES,
        )

    async def hold_open(self) -> None:
        """Run in the background; closes the connections when it is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own gap

    async def create_customer(self, account_id: UUID) -> str:
        with _errors():
            customer = await self._client.v1.customers.create_async(
                params={"metadata": {"account_id": str(account_id)}},
                options={"idempotency_key": f"customer-{account_id}"},
            )
        return str(customer.id)

    async def create_price(self, terms: Terms) -> tuple[str, str]:
        """The price and product of a version, made once: `(price id, product id)`. Never edited."""
        with _errors():
            found = await self._client.v1.prices.list_async(params={"lookup_keys": [terms.lookup_key], "limit": 1})
            if found.data:
                return _price_ids(found.data[0])
            product = await self._create_product(terms)
            params: dict[str, Any] = {
                "product": product,
                "currency": terms.currency,
                "unit_amount": terms.price_minor,
                "lookup_key": terms.lookup_key,
                "metadata": {"offer": terms.offer_id, "offer_version": str(terms.version)},
            }
            if terms.interval != "none":
                params["recurring"] = {"interval": terms.interval}
            price = await self._client.v1.prices.create_async(
                params=params,  # type: ignore[arg-type]  # its shape depends on the interval
                options={"idempotency_key": f"price-{terms.lookup_key}"},
            )
        return _price_ids(price)

    async def _create_product(self, terms: Terms) -> str:
        try:
            product = await self._client.v1.products.create_async(
                params={"id": terms.lookup_key, "name": terms.spec.name, "metadata": {"offer": terms.offer_id}},
                options={"idempotency_key": f"product-{terms.lookup_key}"},
            )
        except stripe.InvalidRequestError as error:
            if error.code != "resource_already_exists":
                raise
            return terms.lookup_key
        return str(product.id)

    async def create_session(self, wanted: NewSession) -> CheckoutSession:
        subscribes = wanted.terms.is_plan
        params: dict[str, Any] = {
            "mode": "subscription" if subscribes else "payment",
            "line_items": [{"price": wanted.price_id, "quantity": 1}],
            "customer": wanted.customer,
            "client_reference_id": str(wanted.account_id),
            "metadata": wanted.metadata,
            "success_url": wanted.success_url,
            "cancel_url": wanted.cancel_url,
            # Stripe would otherwise show, and settle, another currency than the offer's.
            "adaptive_pricing": {"enabled": False},
        }
        carrier = "subscription_data" if subscribes else "payment_intent_data"
        params[carrier] = {"metadata": wanted.metadata, "description": wanted.terms.spec.name}
        with _errors():
            session = await self._client.v1.checkout.sessions.create_async(
                params=params,  # type: ignore[arg-type]  # its shape depends on the mode
                options={"idempotency_key": f"checkout-{wanted.key}"},
            )
        return shapes.shaped(shapes.session_of, session.to_dict())

    async def get_session(self, session_id: str) -> CheckoutSession:
        with _errors():
            session = await self._client.v1.checkout.sessions.retrieve_async(
                session_id, params={"expand": ["line_items", f"payment_intent.{_FEE}"]}
            )
        return shapes.shaped(shapes.session_of, session.to_dict())

    async def get_subscription(self, subscription_id: str) -> Subscription:
        with _errors():
            subscription = await self._client.v1.subscriptions.retrieve_async(subscription_id)
        return shapes.shaped(shapes.subscription_of, subscription.to_dict())

    async def get_intent(self, intent_id: str) -> Intent:
        with _errors():
            intent = await self._client.v1.payment_intents.retrieve_async(intent_id, params={"expand": [_FEE]})
        return shapes.shaped(shapes.intent_of, intent.to_dict())

    async def get_invoice(self, invoice_id: str) -> Invoice:
        """The invoice and its payment: since API 2025-03-31 the way there leads over `payments`."""
        with _errors():
            invoice = await self._client.v1.invoices.retrieve_async(invoice_id, params={"expand": ["payments"]})
        body = invoice.to_dict()
        intent_id = shapes.shaped(shapes.intent_id_of_invoice, body)
        intent = await self.get_intent(intent_id) if intent_id else None
        return shapes.shaped(lambda whole: shapes.invoice_of(whole, intent), body)

    async def find_session_of_payment(self, intent_id: str) -> CheckoutSession | None:
        with _errors():
            found = await self._client.v1.checkout.sessions.list_async(params={"payment_intent": intent_id, "limit": 1})
        return await self.get_session(found.data[0].id) if found.data else None

    async def find_invoice_of_payment(self, intent_id: str) -> Invoice | None:
        with _errors():
            found = await self._client.v1.invoice_payments.list_async(
                params={"payment": {"type": "payment_intent", "payment_intent": intent_id}, "limit": 1}
            )
        invoice_id = shapes.ident(found.data[0].to_dict()["invoice"]) if found.data else None
        return await self.get_invoice(invoice_id) if invoice_id else None

    async def find_payment_of_charge(self, charge_id: str) -> str | None:
        with _errors():
            charge = await self._client.v1.charges.retrieve_async(charge_id)
        return shapes.ident(charge.to_dict().get("payment_intent"))

    async def find_payment_of_refund(self, refund_id: str) -> str | None:
        with _errors():
            refund = await self._client.v1.refunds.retrieve_async(refund_id)
        return shapes.ident(refund.to_dict().get("payment_intent"))

    async def list_refunds(self, intent_id: str) -> tuple[Refund, ...]:
        with _errors():
            page = await self._client.v1.refunds.list_async(params={"payment_intent": intent_id, "limit": 100})
            bodies = [refund.to_dict() async for refund in page.auto_paging_iter()]
        return tuple(shapes.shaped(shapes.refund_of, body) for body in bodies)

    async def get_dispute(self, dispute_id: str) -> tuple[Dispute, str | None]:
        """The dispute, and the payment that it is about."""
        with _errors():
            dispute = await self._client.v1.disputes.retrieve_async(dispute_id)
        body = dispute.to_dict()
        return shapes.shaped(shapes.dispute_of, body), shapes.ident(body.get("payment_intent"))

    async def list_events(self, since: datetime, *, types: list[str]) -> AsyncIterator[StripeEvent]:
        """Events of these types since an instant, newest first."""
        with _errors():
            page = await self._client.v1.events.list_async(
                params={"created": {"gte": int(since.timestamp())}, "types": types, "limit": 100}
            )
            async for event in page.auto_paging_iter():
                yield shapes.shaped(shapes.event_of, event.to_dict())


def _price_ids(price: stripe.Price) -> tuple[str, str]:
    body = price.to_dict()
    return str(body["id"]), str(shapes.ident(body["product"]))


@contextmanager
def _errors() -> Iterator[None]:
    """The SDK's errors in our words; none of them carries an address or a key into a log."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        if error.code == "resource_missing":
            raise StripeMissingError("Stripe does not have this object.") from error
        raise StripeRefusedError(f"Stripe refused the request ({error.code}: {error.param}).") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("billing.stripe_key_refused", kind=type(error).__name__)  # noqa: TRY400  # the trace may show the request
        raise StripeUnavailableError("Payments are not available at the moment.", retry_after_s=60) from error
    except (stripe.CardError, stripe.IdempotencyError) as error:
        raise StripeRefusedError(f"Stripe refused the request ({type(error).__name__}).") from error
    except stripe.StripeError as error:
        # Rate limits, lost connections, time-outs and Stripe's own faults: all pass with time.
        log.warning("billing.stripe_not_available", kind=type(error).__name__, status=error.http_status)
        raise StripeUnavailableError("Stripe does not answer; try again later.", retry_after_s=RETRY_AFTER_S) from error
