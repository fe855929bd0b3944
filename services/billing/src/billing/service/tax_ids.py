"""An account's tax ids: Stripe keeps them, nothing of them is kept here."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billing.adapters.stripe_api import StripeApi
from billing.adapters.stripe_tax_ids import StripeTaxIds
from billing.domain.tax_ids import TaxId
from billing.domain.taxes import AUTOMATIC_TAX
from billing.errors import NoSuchTaxIdError
from billing.repository import accounts, switches
from billing.service.customers import ensure_customer
from billing.service.once import Write, write_once
from kit.database import Database


class TaxIdDesk:
    """Reads from Stripe what is shown, so that it is never out of date."""

    def __init__(self, database: Database, stripe: StripeApi) -> None:
        self._database = database
        self._stripe = stripe
        self._tax_ids = StripeTaxIds(stripe.client)

    async def show(self, account_id: UUID) -> list[TaxId]:
        async with self._database.reading() as session:
            customer = await accounts.find_customer(session, account_id)
        return await self._tax_ids.list_of(customer) if customer else []

    async def automatic(self) -> bool:
        """Whether taxes are computed for what is bought now."""
        async with self._database.reading() as session:
            return await switches.is_on(session, AUTOMATIC_TAX)

    async def add(self, write: Write, *, kind: str, value: str) -> Mapping[str, Any]:
        """It stands on the invoices that are made from now on."""

        async def work(key: str) -> Mapping[str, Any]:
            customer = await ensure_customer(self._database, self._stripe, write.account_id)
            return {"id": await self._tax_ids.add(customer, kind=kind, value=value, key=key)}

        return await write_once(self._database, write, work)

    async def remove(self, write: Write, tax_id: str) -> Mapping[str, Any]:
        """Another customer's is unknown here."""

        async def work(_: str) -> Mapping[str, Any]:
            if tax_id not in [one.id for one in await self.show(write.account_id)]:
                raise NoSuchTaxIdError("This account has no such tax id.", answer={"id": tax_id})
            await self._tax_ids.remove(tax_id)
            return {"id": tax_id}

        return await write_once(self._database, write, work)
