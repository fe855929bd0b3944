"""Amounts, money and times in the words of the mail's language."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context

from contracts.money import NANO_PER_CREDIT, Unit

_NO_DECIMALS: Final = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THREE_DECIMALS: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
_UNITS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = MappingProxyType(
    {
        "en": {"credit": ("credit", "credits"), "token": ("token", "tokens"), "request": ("request", "requests")},
        "de": {"credit": ("Credit", "Credits"), "token": ("Token", "Token"), "request": ("Anfrage", "Anfragen")},
    }
)
_DAYS: Final[Mapping[str, str]] = MappingProxyType({"en": "%Y-%m-%d", "de": "%d.%m.%Y"})
_GERMAN_MARKS: Final = str.maketrans(",.", ".,")


def amount(value: int, unit: str = Unit.CREDIT, *, language: str = "en") -> str:
    """An amount in words: `4.9995 credits`, `1,200 tokens`."""
    figure = Decimal(value) / NANO_PER_CREDIT if unit == Unit.CREDIT else Decimal(value)
    one, many = _UNITS.get(language, _UNITS["en"])[unit]
    return f"{_marked(f'{figure.normalize():,f}', language)} {one if figure == 1 else many}"


def money(minor: int, currency: str, *, language: str = "en") -> str:
    """An amount of money in the currency's usual digits: `10.00 USD`."""
    decimals = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    return f"{_marked(f'{Decimal(minor).scaleb(-decimals):,.{decimals}f}', language)} {currency.upper()}"


def day(instant: str, *, language: str = "en") -> str:
    """The date of an RFC 3339 instant."""
    return f"{datetime.fromisoformat(instant):{_DAYS.get(language, _DAYS['en'])}}"


def minute(instant: str, *, language: str = "en") -> str:
    """Date and time of an RFC 3339 instant, in UTC, as everywhere in Faregate."""
    return f"{day(instant, language=language)} {datetime.fromisoformat(instant):%H:%M} UTC"


def number(value: int, *, language: str = "en") -> str:
    return _marked(f"{value:,}", language)


def percent(basis_points: int, *, language: str = "en") -> str:
    return f"{_marked(f'{Decimal(basis_points) / 100:,.2f}', language)} %"


def _marked(figure: str, language: str) -> str:
    return figure.translate(_GERMAN_MARKS) if language == "de" else figure


def _in_language(word: Callable[..., str]) -> Callable[..., str]:
    """The filter that takes the language from the template's context."""

    @pass_context
    def filled(context: Context, *values: Any) -> str:
        return word(*values, language=str(context.get("language", "en")))

    return filled


FILTERS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {word.__name__: _in_language(word) for word in (amount, money, day, minute, number, percent)}
)
