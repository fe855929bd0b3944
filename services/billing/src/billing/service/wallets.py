"""An account's ways to pay: Stripe keeps them, we remember which one is charged."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billing.adapters.stripe_payments import StripePayments
from billing.domain.payment_methods import Wallet
from billing.errors import NoSuchPaymentMethodError, PaymentMethodInUseError, UnknownPaymentMethodError
from billing.repository import accounts, payments
from billing.service.once import Write, write_once
from billing.service.standing import keep_wallet
from kit.clock import Clock
from kit.database import Database


class WalletDesk:
    """Reads from Stripe what is shown, so that it is never out of date."""

    def __init__(self, database: Database, stripe: StripePayments, *, clock: Clock) -> None:
        self._database = database
        self._stripe = stripe
        self._clock = clock

    async def show(self, account_id: UUID) -> Wallet:
        customer = await self._customer(account_id)
        return await self._stripe.get_wallet(customer) if customer else Wallet((), None)

    async def set_default(self, write: Write, payment_method: str) -> Mapping[str, Any]:
        """From now on this one is charged."""

        async def work(key: str) -> Mapping[str, Any]:
            customer = await self._owner(write.account_id, payment_method)
            await self._stripe.set_default(customer, payment_method, key=key)
            await self._keep(write.account_id, customer)
            return {"id": payment_method}

        return await write_once(self._database, write, work)

    async def remove(self, write: Write, payment_method: str) -> Mapping[str, Any]:
        """Forget a way to pay; the last one stays while something has to be paid with it."""

        async def work(key: str) -> Mapping[str, Any]:
            customer = await self._customer(write.account_id)
            wallet = await self._stripe.get_wallet(customer) if customer else Wallet((), None)
            if customer is None or not wallet.has(payment_method):
                raise NoSuchPaymentMethodError("This account has no such way to pay.", answer={"id": payment_method})
            if len(wallet.methods) == 1 and await self._is_needed(write.account_id):
                raise PaymentMethodInUseError("The subscription is paid with it: add another card first.")
            await self._stripe.detach(payment_method, key=key)
            await self._keep(write.account_id, customer)
            return {"id": payment_method}

        return await write_once(self._database, write, work)

    async def _customer(self, account_id: UUID) -> str | None:
        async with self._database.reading() as session:
            return await accounts.find_customer(session, account_id)

    async def _owner(self, account_id: UUID, payment_method: str) -> str:
        """The customer, which has this way to pay; another customer's is unknown here."""
        customer = await self._customer(account_id)
        if customer is None or not (await self._stripe.get_wallet(customer)).has(payment_method):
            raise UnknownPaymentMethodError("This account has no such way to pay.")
        return customer

    async def _is_needed(self, account_id: UUID) -> bool:
        async with self._database.reading() as session:
            current = await payments.find_current_subscription(session, account_id)
        return current is not None and not payments.has_ended(current) and not current.cancel_at_period_end

    async def _keep(self, account_id: UUID, customer: str) -> None:
        wallet = await self._stripe.get_wallet(customer)
        async with self._database.transaction() as session:
            await accounts.lock_account(session, account_id)
            await keep_wallet(session, account_id, wallet, now=self._clock.now())
