"""What stands in Stripe of the catalogue: which prices, whether they are for sale, the portal's configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import stripe

from billing.adapters.stripe_errors import stripe_errors

KEYS_AT_ONCE: Final = 10
_MARK: Final = "faregate"


class StripeCatalogue:
    """Reads in batches; every write carries an idempotency key that is made from our own ids."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def find_prices(self, lookup_keys: Sequence[str]) -> dict[str, bool]:
        """Those of these prices that exist, and whether they are for sale."""
        found: dict[str, bool] = {}
        for first in range(0, len(lookup_keys), KEYS_AT_ONCE):
            asked = list(lookup_keys[first : first + KEYS_AT_ONCE])
            with stripe_errors():
                page = await self._client.v1.prices.list_async(params={"lookup_keys": asked, "limit": 100})
            found |= {str(price.lookup_key): bool(price.active) for price in page.data}
        return found

    async def retire_price(self, price_id: str) -> None:
        """No longer for sale; who has it keeps it."""
        with stripe_errors():
            await self._client.v1.prices.update_async(
                price_id, params={"active": False}, options={"idempotency_key": f"retire-{price_id}"}
            )

    async def find_portal(self, digest: str) -> str | None:
        """The portal's configuration that we made with this content."""
        with stripe_errors():
            page = await self._client.v1.billing_portal.configurations.list_async(params={"active": True, "limit": 100})
        for one in page.data:
            if ((one.to_dict().get("metadata")) or {}).get(_MARK) == digest:
                return str(one.id)
        return None

    async def create_portal(self, features: Mapping[str, Any], *, digest: str) -> str:
        with stripe_errors():
            made = await self._client.v1.billing_portal.configurations.create_async(
                params={"features": dict(features), "metadata": {_MARK: digest}},  # type: ignore[typeddict-item]
                options={"idempotency_key": f"portal-configuration-{digest}"},
            )
        return str(made.id)
