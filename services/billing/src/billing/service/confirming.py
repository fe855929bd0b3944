"""Where a customer pays or confirms what did not go through: Stripe's page of an invoice, or ours of a payment."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.confirm_links import ConfirmLinks
from billing.adapters.stripe_payments import StripePayments
from billing.errors import UnknownPaymentError
from billing.repository import attempts, invoices
from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7


@dataclass(frozen=True, slots=True)
class Confirmable:
    """A payment that its customer's bank wants confirmed, or that has been: a top-up, or use paid afterwards."""

    payment_id: str
    payment_method_id: str
    amount_minor: int
    currency: str
    is_paid: bool
    is_top_up: bool


class Confirming:
    """Who has the link may pay: so links are made when a mail goes out, and kept nowhere; without a secret none are."""

    def __init__(self, database: Database, stripe: StripePayments, *, links: ConfirmLinks | None, clock: Clock) -> None:
        self._database = database
        self._stripe = stripe
        self._links = links
        self._clock = clock

    async def find_page(self, account_id: UUID, payment_id: str) -> str | None:
        """Where this payment of the account is paid or confirmed."""
        async with self._database.reading() as session:
            page = await invoices.find_page(session, account_id, payment_id)
            if page is not None or self._links is None:
                return page
            found = await _find(session, payment_id, account_id=account_id)
        return self._links.url(payment_id) if found is not None and not found.is_paid else None

    async def of_link(self, token: str) -> Confirmable:
        """Raises `UnknownPaymentError` for a link that is none of ours, or whose payment is to be made no more."""
        payment_id = self._links.read(token) if self._links is not None else None
        async with self._database.reading() as session:
            found = await _find(session, payment_id) if payment_id is not None else None
        if found is None:
            raise UnknownPaymentError("There is nothing to confirm at this link.")
        return found

    async def begin(self, token: str) -> str | None:
        """Where the bank asks; None when it asked nothing, and the payment went through."""
        found = await self.of_link(token)
        if found.is_paid or self._links is None:
            return None
        return await self._stripe.confirm(
            found.payment_id,
            payment_method=found.payment_method_id,
            return_url=self._links.url(found.payment_id),
            key=str(uuid7(self._clock)),
        )


async def _find(session: AsyncSession, payment_id: str, *, account_id: UUID | None = None) -> Confirmable | None:
    attempt = await attempts.find_of_payment(session, payment_id)
    if attempt is None or attempt.state not in {"needs_action", "succeeded"}:
        return None
    if account_id is not None and attempt.account_id != account_id:
        return None
    return Confirmable(
        payment_id,
        attempt.payment_method_id,
        attempt.amount_minor + attempt.tax_minor,
        attempt.currency,
        is_paid=attempt.state == "succeeded",
        is_top_up=attempt.purpose == "auto_top_up",
    )
