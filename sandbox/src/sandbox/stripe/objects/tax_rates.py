"""Taxes here: one flat rate per country, collected where an active registration says so, always written on the line."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.amounts import rounded
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

REGISTRATION: Final = "tax.registration"
SETTINGS: Final = "tax_settings"
RATES: Final = {
    "AT": 20,
    "AU": 10,
    "CA": 5,
    "CH": 8,
    "DE": 19,
    "ES": 21,
    "FR": 20,
    "GB": 20,
    "IE": 23,
    "IT": 22,
    "US": 8,
}
OTHERWISE: Final = 15
ON_TOP: Final = frozenset({"usd", "cad"})
"""Currencies whose prices are without taxes where the account's default is to tell by the currency."""
ENABLED: Final = {"disabled_reason": None, "enabled": True, "liability": {"type": "self"}}


def country_of(customer: Json) -> str | None:
    country: str | None = (customer["address"] or {}).get("country")
    return country


def percent_of(work: Work, country: str) -> int:
    """Without an active registration nothing is collected: the silence that Stripe keeps as well."""
    registered = any(is_active(one, now=work.now) for one in work.list_all(REGISTRATION, country=country))
    return RATES.get(country, OTHERWISE) if registered else 0


def is_active(registration: Json, *, now: int) -> bool:
    ends_at = registration["expires_at"]
    return registration["active_from"] <= now and (ends_at is None or now < ends_at)


def behaviour_of(work: Work, told: str | None, *, currency: str) -> str:
    """A price that says nothing follows the account's default; Stripe refuses where there is none either."""
    if told in {"exclusive", "inclusive"}:
        return told
    default = (work.store.find_switch(SETTINGS) or {}).get("tax_behavior")
    if default is None:
        message = "You must set `tax_behavior` on the price, or a default tax behavior in your tax settings."
        raise StripeError(message, param="automatic_tax[enabled]")
    if default == "inferred_by_currency":
        return "exclusive" if currency in ON_TOP else "inclusive"
    return str(default)


def tax_minor(amount_minor: int, *, percent: int, behaviour: str) -> int:
    """What is added to an amount, or what of it is tax already."""
    if behaviour == "exclusive":
        return rounded(Decimal(amount_minor) * percent / 100)
    return amount_minor - rounded(Decimal(amount_minor) * 100 / (100 + percent))


def tax_lines(work: Work, lines: Iterable[Json], *, country: str) -> None:
    """Write each line's tax on it."""
    percent = percent_of(work, country)
    for line in lines:
        price_id = ((line["pricing"] or {}).get("price_details") or {}).get("price")
        told = work.get("price", price_id)["tax_behavior"] if price_id else None
        behaviour = behaviour_of(work, told, currency=line["currency"])
        amount = tax_minor(line["amount"], percent=percent, behaviour=behaviour)
        line["taxes"] = [_told(amount, percent=percent, behaviour=behaviour, of_minor=line["amount"])]


def _told(amount_minor: int, *, percent: int, behaviour: str, of_minor: int) -> Json:
    return {
        "amount": amount_minor,
        "tax_behavior": behaviour,
        "tax_rate_details": None,
        "taxability_reason": "standard_rated" if percent else "not_collecting",
        "taxable_amount": (of_minor if behaviour == "exclusive" else of_minor - amount_minor) if percent else 0,
        "type": "tax_rate_details",
    }


def total_taxes(lines: Iterable[Json]) -> list[Json]:
    """What the lines' taxes come to, by whether they are on top."""
    found: dict[str, Json] = {}
    for tax in (tax for line in lines for tax in line["taxes"]):
        known = found.setdefault(tax["tax_behavior"], {**tax, "amount": 0, "taxable_amount": 0})
        known["amount"] += tax["amount"]
        known["taxable_amount"] += tax["taxable_amount"]
    return list(found.values())


def check_active(work: Work) -> None:
    """Without a head office Stripe computes nothing, and says so."""
    if not (work.store.find_switch(SETTINGS) or {}).get("head_office"):
        message = "Stripe Tax is not active: set a head office in your tax settings."
        raise StripeError(message, code="stripe_tax_inactive", param="automatic_tax")


def check_located(work: Work, customer: Json, *, param: str = "customer") -> str:
    """The country that decides; Stripe refuses to compute taxes for a customer who is nowhere."""
    check_active(work)
    country = country_of(customer)
    if country is None:
        message = "The customer's location isn't recognized. Set a valid customer address in order to calculate tax."
        raise StripeError(message, code="customer_tax_location_invalid", param=param)
    return country
