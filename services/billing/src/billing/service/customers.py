"""Stripe's customer and prices, made when they are first needed."""

from uuid import UUID

from billing.adapters.stripe_api import StripeApi
from billing.domain.offers import Terms
from billing.errors import NoSubscriptionError
from billing.repository import accounts, catalogue
from kit.database import Database


async def ensure_customer(database: Database, stripe: StripeApi, account_id: UUID) -> str:
    """The account's one customer."""
    async with database.reading() as session:
        known = await accounts.find_customer(session, account_id)
    if known is not None:
        return known
    made = await stripe.create_customer(account_id)
    async with database.transaction() as session:
        await accounts.insert_customer(session, account_id, made)
        standing = await accounts.find_customer(session, account_id)
    assert standing is not None
    return standing


async def get_customer(database: Database, account_id: UUID) -> str:
    """The customer of an account that has one."""
    async with database.reading() as session:
        known = await accounts.find_customer(session, account_id)
    if known is None:
        raise NoSubscriptionError("This account has bought nothing yet.")
    return known


async def ensure_price(database: Database, stripe: StripeApi, terms: Terms, *, currency: str) -> str:
    """The price of a version in a currency; never edited, so it is asked for once."""
    async with database.reading() as session:
        known = await catalogue.find_price(session, terms, currency)
    if known is not None:
        return known
    price_id, product_id = await stripe.create_price(terms, currency)
    async with database.transaction() as session:
        await catalogue.insert_price(session, price_id, product_id=product_id, terms=terms, currency=currency)
    return price_id
