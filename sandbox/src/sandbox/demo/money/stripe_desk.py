"""Stripe as its dashboard shows it, and what only the outside world does: cards that fail, banks that decide."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2

METER: Final = "faregate_overage"
PAGE: Final = 100


class StripeDesk:
    """Asks the stand-in with its secret key, over the same API that billing uses."""

    def __init__(self, url: str, *, secret_key: str) -> None:
        self._http = httpx2.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {secret_key}"}, timeout=30.0, trust_env=False
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def customer_of(self, account_id: str) -> str | None:
        """Stripe's name for an account; None until billing has made one."""
        customers = await self._list("customers")
        return next((one["id"] for one in customers if one["metadata"].get("account_id") == account_id), None)

    async def subscription(self, customer: str) -> dict[str, Any] | None:
        """The customer's newest subscription, ended or not."""
        found = await self._list("subscriptions", customer=customer, status="all")
        return found[0] if found else None

    async def invoices(self, customer: str) -> list["Invoice"]:
        return [Invoice.of(one) for one in await self._list("invoices", customer=customer)]

    async def charges(self, customer: str) -> list[dict[str, Any]]:
        """Money that was taken."""
        found = await self._list("charges", customer=customer, **{"expand[]": "data.balance_transaction"})
        return [one for one in found if one["status"] == "succeeded" and one["paid"]]

    async def refunded_minor(self, charge: dict[str, Any]) -> int:
        found = await self._list("refunds", charge=charge["id"])
        return sum(one["amount"] for one in found if one["status"] == "succeeded")

    async def disputed_minor(self, charge: dict[str, Any]) -> int:
        """What banks took back, for good or until they decide."""
        found = await self._list("disputes", charge=charge["id"])
        return sum(one["amount"] for one in found if one["status"] != "won")

    async def counted_units(self, customer: str, *, start: datetime, end: datetime) -> int:
        """What the meter has counted in whole minutes."""
        meter = next((one["id"] for one in await self._list("billing/meters") if one["event_name"] == METER), None)
        if meter is None:
            return 0
        window = {"start_time": _minute(start), "end_time": _minute(end + timedelta(minutes=1))}
        found = await self._list(f"billing/meters/{meter}/event_summaries", customer=customer, **window)
        return int(sum(one["aggregated_value"] for one in found))

    async def refund(self, charge: dict[str, Any], *, amount_minor: int) -> None:
        """As an operator does in the dashboard."""
        await self._post("/v1/refunds", data={"charge": charge["id"], "amount": amount_minor})

    async def dispute(self, charge: dict[str, Any]) -> str:
        """The card's owner goes to the bank; the dispute's id."""
        return str((await self._post(f"/sandbox/charges/{charge['id']}/dispute", json={}))["id"])

    async def decide(self, dispute_id: str, outcome: str) -> None:
        await self._post(f"/sandbox/disputes/{dispute_id}/close", json={"outcome": outcome})

    async def drain_card(self, method_id: str) -> None:
        """From now on there is too little money behind this card."""
        await self._post(f"/sandbox/payment_methods/{method_id}", json={"charge": "insufficient_funds"})

    async def _list(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = {"starting_after": found[-1]["id"]} if found else {}
            answer = await self._http.get(f"/v1/{kind}", params={"limit": PAGE, **query, **after})
            page = answer.raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                return found

    async def _post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = (await self._http.post(path, **body)).raise_for_status()
        return dict(answer.json())


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice and what of it is use that a meter counted."""

    id: str
    status: str
    total_minor: int
    paid_minor: int
    use_units: int
    use_minor: int

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Invoice":
        use = list(_use_lines(body))
        return cls(
            id=body["id"],
            status=body["status"],
            total_minor=body["total"],
            paid_minor=body["amount_paid"],
            use_units=sum(line["quantity"] for line in use),
            use_minor=sum(line["amount"] for line in use),
        )


def _use_lines(invoice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for line in invoice["lines"]["data"]:
        if (line["pricing"] or {}).get("unit_amount_decimal") == UNIT_PRICE:
            yield line


UNIT_PRICE: Final = "0.0001"
"""A meter's unit in cents: overage is counted as money, in millionths of a dollar."""


def _minute(instant: datetime) -> int:
    return int(instant.timestamp()) // 60 * 60
