"""What offers earn before they are sold: at worst and typically, per model (money.md 20)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.catalogue import BundleSpec, Catalogue, OfferSpec, PlanSpec, TopUpSpec
from billing.errors import CatalogueError
from contracts.money import Unit
from rating import PriceBook, RatingError, parse_book
from rating.margin import Margin, Mixes, SoldUnits, worst_margin
from rating.plan_tokens import CLASSES, Weight


@dataclass(frozen=True, slots=True)
class OfferMargins:
    """An offer's margins, the worst model first; `is_given` when nobody pays for it: what it costs is a choice."""

    offer_id: str
    margins: tuple[Margin, ...]
    is_given: bool

    @property
    def is_loss(self) -> bool:
        return not self.is_given and any(one.is_loss for one in self.margins)


def margins(catalogue: Catalogue, book: PriceBook, *, at: datetime, mixes: Mixes | None = None) -> list[OfferMargins]:
    """Every offer of a catalogue at the prices of a book; typically as in `mixes`, where there is usage."""
    return [
        OfferMargins(
            offer_id,
            tuple(_worst_of(_sold(spec, catalogue, book), book, models=_models(spec), at=at, mixes=mixes)),
            _is_given(spec),
        )
        for offer_id, spec in catalogue.offers().items()
    ]


def mixes_of(rows: Iterable[Mapping[str, Any]]) -> Mixes:
    """The ledger's shares per model, in the order in which prices stand."""
    found = {str(row["model"]): [int(row["shares_ppm"].get(one, 0)) for one in CLASSES] for row in rows}
    return {model: shares for model, shares in found.items() if any(shares)}


def checked(catalogue: Catalogue, price_book: Path, *, at: datetime, mixes: Mixes | None = None) -> list[OfferMargins]:
    """The margins at the prices in a file; raises `CatalogueError` where they cannot be computed."""
    try:
        return margins(catalogue, parse_book(price_book.read_text(encoding="utf-8"), version=1), at=at, mixes=mixes)
    except (RatingError, OSError) as error:
        raise CatalogueError(f"{price_book}: margins cannot be computed: {error}") from error


def refuse_losses(found: Iterable[OfferMargins]) -> None:
    """Raise `CatalogueError` that names each offer which can make a loss."""
    losses = [offer for offer in found if offer.is_loss]
    if losses:
        worst = [f"{one.offer_id}: can make a loss with {one.margins[0].model}" for one in losses]
        raise CatalogueError("\n".join([*worst, "FAREGATE_BILLING_SELL_AT_A_LOSS=true publishes it all the same"]))


def _worst_of(
    sold: list[SoldUnits], book: PriceBook, *, models: tuple[str, ...] | None, at: datetime, mixes: Mixes | None
) -> Iterator[Margin]:
    """Per model, the part of the offer that earns least."""
    by_model: dict[str, Margin] = {}
    for part in sold:
        for margin in worst_margin(part, book, at=at, models=models, mixes=mixes):
            by_model[margin.model] = min(by_model.get(margin.model, margin), margin, key=_badness)
    yield from sorted(by_model.values(), key=_badness)


def _badness(margin: Margin) -> tuple[bool, int]:
    return margin.worst_bps is not None, margin.worst_bps or 0


def _sold(spec: OfferSpec, catalogue: Catalogue, book: PriceBook) -> list[SoldUnits]:
    """What is sold in which unit. A bundle's calls may be used with any plan, so the dearest one counts."""
    own = spec.markup_bps if isinstance(spec, PlanSpec) else None
    markup_bps = book.markup_bps if own is None else own
    if isinstance(spec, BundleSpec):
        caps = [plan.terms.request_max_price_nano for plan in catalogue.plans.values()]
        known = [cap for cap in caps if cap is not None]
        return [
            SoldUnits(
                unit=spec.unit.value,
                amount=spec.amount,
                price_nano=spec.price_minor * NANO_PER_MINOR,
                markup_bps=markup_bps,
                request_max_price_nano=max(known) if known and len(known) == len(caps) else None,
            )
        ]
    if isinstance(spec, TopUpSpec):
        return [SoldUnits(unit="credit", amount=NANO_PER_MINOR, price_nano=NANO_PER_MINOR, markup_bps=book.markup_bps)]
    if spec.kind == "pay_per_use":
        return [SoldUnits(unit="credit", amount=1, price_nano=1, markup_bps=markup_bps)]
    return [
        SoldUnits(
            unit=one.unit.value,
            amount=one.amount,
            price_nano=spec.price_minor * NANO_PER_MINOR,
            markup_bps=markup_bps,
            weights=[Weight(weight.model, weight.token_class, weight.hundredths) for weight in spec.terms.weights],
            request_max_price_nano=spec.terms.request_max_price_nano,
            overage_nano_per_1k_tokens=_overage_rate(spec) if one.unit is Unit.TOKEN else None,
        )
        for one in spec.allowances
    ]


def _overage_rate(spec: PlanSpec) -> int | None:
    overage = spec.terms.overage
    return overage.per_1k_nano if overage.policy == "bill" else None


def _models(spec: OfferSpec) -> tuple[str, ...] | None:
    return spec.models if isinstance(spec, PlanSpec) else None


def _is_given(spec: OfferSpec) -> bool:
    return isinstance(spec, PlanSpec) and spec.price_minor == 0 and spec.kind != "pay_per_use"
