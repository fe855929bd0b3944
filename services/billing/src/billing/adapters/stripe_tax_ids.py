"""Customers' tax ids, which Stripe keeps, checks where it can, and prints on invoices."""

from typing import Any

import stripe

from billing.adapters import shapes
from billing.adapters.stripe_errors import stripe_errors
from billing.domain.tax_ids import TaxId
from billing.errors import TaxIdRefusedError


class StripeTaxIds:
    """Every write carries the idempotency key that it is given."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def list_of(self, customer: str) -> list[TaxId]:
        params: Any = {"owner": _owner(customer), "limit": 100}
        with stripe_errors():
            page = await self._client.v1.tax_ids.list_async(params=params)
            bodies = [one.to_dict() async for one in page.auto_paging_iter()]
        return [shapes.shaped(shapes.tax_id_of, body) for body in bodies]

    async def add(self, customer: str, *, kind: str, value: str, key: str) -> str:
        """The new one's id; raises `TaxIdRefusedError` naming what Stripe does not take."""
        params: Any = {"owner": _owner(customer), "type": kind, "value": value}
        with stripe_errors():
            try:
                made = await self._client.v1.tax_ids.create_async(
                    params=params, options={"idempotency_key": f"tax-id-{key}"}
                )
            except stripe.InvalidRequestError as error:
                if error.param == "type":
                    raise TaxIdRefusedError("Stripe knows no such type of tax id.", field="type") from error
                if error.param == "value" or error.code == "tax_id_invalid":
                    detail = f"Stripe does not take this as a tax id of the type {kind}."
                    raise TaxIdRefusedError(detail, field="value") from error
                raise
        return str(made.id)

    async def remove(self, tax_id: str) -> None:
        with stripe_errors():
            await self._client.v1.tax_ids.delete_async(tax_id)


def _owner(customer: str) -> dict[str, str]:
    return {"type": "customer", "customer": customer}
