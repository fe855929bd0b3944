"""Whose payment something is: what Stripe says must agree with what we know."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.offers import Purchase
from billing.errors import AccountNotReadyError, NotOursError, PaymentRefusedError
from billing.repository import accounts, catalogue


async def lock_owner(session: AsyncSession, customer: str | None, *, claims: tuple[str | None, ...]) -> UUID:
    """The account of a Stripe customer, locked. The mapping is ours; a claim that differs from it is refused."""
    account_id = await accounts.find_account_of_customer(session, customer) if customer else None
    if account_id is None:
        if not any(claims):
            raise NotOursError("Neither the customer nor the metadata is ours.")
        raise PaymentRefusedError("The metadata claims one of our accounts, but the customer is not ours.")
    if any(claim is not None and claim != str(account_id) for claim in claims):
        raise PaymentRefusedError("The metadata names another account than the customer's.")
    if not await accounts.lock_account(session, account_id):
        raise AccountNotReadyError("The account is not known yet.", retry_after_s=1)
    return account_id


async def get_purchase(session: AsyncSession, price_id: str | None, *, quantity: int = 1) -> Purchase:
    """What a price in Stripe stands for, so many times."""
    found = await catalogue.find_offer_of_price(session, price_id) if price_id else None
    if found is None:
        raise PaymentRefusedError("The price is not one that we made.")
    terms, currency = found
    return Purchase(terms, currency, quantity)


def check_amount(purchase: Purchase, *, amount_minor: int, currency: str | None) -> None:
    """The offer's own amount and currency, nothing else."""
    if currency != purchase.currency:
        raise PaymentRefusedError(f"The currency is not the offer's ({purchase.currency}).")
    if amount_minor != purchase.price_minor:
        raise PaymentRefusedError("The amount is not the offer's price.")
