"""What customers may do on Stripe's own pages: cards, address, tax ids, invoices. Plans are changed here, not there."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from billing.adapters.stripe_catalogue import StripeCatalogue
from billing.repository import catalogue
from kit.database import Database

PORTAL: Final = "portal"
FEATURES: Final[Mapping[str, Any]] = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    "subscription_update": {"enabled": False},
}
DIGEST: Final = hashlib.sha256(orjson.dumps(FEATURES, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


async def ensure_portal(database: Database, stripe: StripeCatalogue) -> str:
    """The configuration with this content, made once."""
    found = await stripe.find_portal(DIGEST) or await stripe.create_portal(FEATURES, digest=DIGEST)
    async with database.transaction() as session:
        await catalogue.save_named(session, PORTAL, found)
    return found
