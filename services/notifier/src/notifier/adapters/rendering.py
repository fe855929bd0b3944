"""Mails out of templates: a subject block, a text form and an HTML form for each kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError, select_autoescape

from contracts.money import NANO_PER_CREDIT, Unit
from notifier.domain import TITLES
from notifier.errors import PermanentError

_NO_DECIMALS: Final = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THREE_DECIMALS: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail's words."""

    subject: str
    text: str
    html: str


class Renderer:
    """Renders the shipped templates; `public_url` makes the links that are not secrets."""

    def __init__(self, *, public_url: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("notifier"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"amount": amount, "money": money, "day": day}
        self._environment.globals |= {"public_url": public_url, "offers_url": f"{public_url}/billing/offers"}

    def render(self, kind: str, values: Mapping[str, Any], *, link: str | None = None) -> Rendered:
        """Raises `PermanentError` for a kind without templates, and for a template that cannot be filled."""
        if kind not in TITLES:
            raise PermanentError("there is no template for this kind")
        context = {**values, "link": link, "title": TITLES[kind]}
        try:
            text = self._environment.get_template(f"{kind}.txt")
            subject = "".join(text.blocks["subject"](text.new_context(context)))
            html = self._environment.get_template(f"{kind}.html").render(context)
            return Rendered(" ".join(subject.split()), text.render(context).strip() + "\n", html)
        except (TemplateError, KeyError) as error:
            raise PermanentError(f"the template cannot be filled: {type(error).__name__}") from None


def amount(value: int, unit: str = Unit.CREDIT) -> str:
    """An amount in words: `4.9995 credits`, `1,200 tokens`."""
    if unit != Unit.CREDIT:
        return f"{value:,} {unit}{'' if value == 1 else 's'}"
    credit = Decimal(value) / NANO_PER_CREDIT
    digits = f"{credit.normalize():,f}"
    return f"{digits} credit{'' if credit == 1 else 's'}"


def money(minor: int, currency: str) -> str:
    """An amount of money in the currency's usual digits: `10.00 USD`."""
    decimals = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    return f"{Decimal(minor).scaleb(-decimals):,.{decimals}f} {currency.upper()}"


def day(instant: str) -> str:
    """The date of an RFC 3339 instant."""
    return f"{datetime.fromisoformat(instant):%Y-%m-%d}"
