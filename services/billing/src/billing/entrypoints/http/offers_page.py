"""What is for sale, as a page: for people who come out of a mail or a refused call. No script, nothing to send."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from fastapi.responses import HTMLResponse

from billing.schemas.buying import Offer
from contracts.money import Unit

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #56606e; --paper: #f6f7f9; --card: #fff; --line: #dfe3e8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e9edf2; --soft: #a3aebb; --paper: #11151a; --card: #1a2028; --line: #2c3540; }
}
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; color: var(--ink); background: var(--paper); }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
ul.offers { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; padding: 0; }
ul.offers > li { list-style: none; background: var(--card); border: 1px solid var(--line); border-radius: .8rem;
  padding: 1.2rem; }
h3 { margin: 0; font-size: 1.05rem; } .price { font-size: 1.3rem; margin: .3rem 0; }
ul.facts { margin: .5rem 0 0; padding-left: 1.1rem; color: var(--soft); }
code { font-size: .9em; overflow-wrap: anywhere; } p.how { color: var(--soft); max-width: 45rem; }
"""
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
    "vary": "accept",
}
_SECTIONS: Final = (("plan", "Plans"), ("bundle", "Bundles"), ("top_up", "Top-ups"))
_HOW: Final = (
    "An owner or admin of the account buys: with an account's token, <code>POST /billing/checkout</code> and the "
    "offer's name answer with the page to pay at. A declined card is replaced, and invoices are found, on the page "
    "that <code>POST /billing/portal</code> answers with."
)
_UNITS: Final = {Unit.TOKEN: ("token", "tokens"), Unit.REQUEST: ("call", "calls")}


def offers_page(offers: Sequence[Offer]) -> HTMLResponse:
    sections = [
        f'<section><h2>{title}</h2><ul class="offers">{"".join(map(_card, found))}</ul></section>'
        for kind, title in _SECTIONS
        if (found := [offer for offer in offers if offer.kind == kind])
    ]
    content = "".join(sections) or "<p>Nothing is for sale at the moment.</p>"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Plans and credits</title><style>{_STYLE}</style>"
    )
    body = f'<main><h1>Plans and credits</h1><p class="how">{_HOW}</p>{content}</main>'
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>', headers=_HEADERS
    )


def _card(offer: Offer) -> str:
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in _facts(offer))
    return (
        f'<li><h3>{escape(offer.name)}</h3><p class="price">{escape(_price(offer))}</p>'
        f'<ul class="facts">{facts}</ul><p><code>{escape(offer.id)}</code></p></li>'
    )


def _price(offer: Offer) -> str:
    if offer.least is not None:
        return f"{offer.least} to {offer.most} {offer.currency.upper()}"
    if offer.pay_per_use:
        return "Paid afterwards"
    if not any(price.strip("0.") for price in offer.prices.values()):
        return "Free"
    amounts = " or ".join(f"{price} {currency.upper()}" for currency, price in offer.prices.items())
    seat = " per seat" if offer.per_seat else ""
    return f"{amounts}{seat}{_every(offer.interval)}"


def _every(interval: str) -> str:
    return "" if interval == "none" else f" per {interval}"


def _facts(offer: Offer) -> Iterable[str]:
    if offer.least is None and (gives := _gives(offer)):
        yield f"{gives}{_every(offer.interval)}"
    if offer.valid_days is not None:
        yield f"valid for {offer.valid_days} days"
    if offer.trial_days is not None:
        yield f"{offer.trial_days} days to try it"
    if offer.seats is not None:
        yield f"up to {offer.seats} seats"
    if offer.only_with:
        yield f"for subscribers of {', '.join(offer.only_with)}"
    if offer.models is not None:
        yield f"models: {', '.join(offer.models)}"
    if offer.default:
        yield "what a new account begins with"
    if not offer.buyable and not offer.default:
        yield "not to be bought at the moment"


def _gives(offer: Offer) -> str | None:
    if offer.amount is not None:
        one, many = _UNITS[offer.unit]
        return f"{int(offer.amount):,} {one if offer.amount == '1' else many}"
    return f"{offer.credits} credits" if offer.credits.strip("0.") else None
