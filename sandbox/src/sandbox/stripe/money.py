"""Amounts in minor units, as people read them."""

WITHOUT_MINOR = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
WITH_THREE = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def written(amount_minor: int, *, currency: str) -> str:
    digits = 0 if currency in WITHOUT_MINOR else 3 if currency in WITH_THREE else 2
    whole, rest = divmod(amount_minor, 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}}" if digits else "")
    sign = SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"
