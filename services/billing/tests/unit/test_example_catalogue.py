"""The example catalogue sells the plans that were asked for, and none of them makes a loss."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.adapters.catalogue_file import load_catalogue
from billing.domain.catalogue import PlanSpec, parse_spec, spec_digest, spec_values
from billing.domain.offers import Terms
from billing.errors import CatalogueError
from billing.service.catalogue import plan_published
from billing.service.margins import OfferMargins, checked, margins, mixes_of, refuse_losses
from billing.settings import SHIPPED_CATALOGUE
from contracts.billing import PlanPublished
from contracts.event import decode
from rating import parse_book

EXAMPLE = SHIPPED_CATALOGUE.with_name("catalogue.example.toml")
BOOK_PATH = Path(__file__).parents[3] / "ledger/src/ledger/price_books/2026-11-21.toml"
BOOK = parse_book(BOOK_PATH.read_text(), version=1)
AT = datetime(2026, 11, 21, tzinfo=UTC)


def published(plan_id: str) -> PlanPublished:
    spec = load_catalogue(EXAMPLE).plans[plan_id]
    event = plan_published(Terms(plan_id, 1, spec_digest(spec, "usd"), "usd", spec), effective_at=AT)
    again = decode(event.encode("billing"), {PlanPublished.type: PlanPublished}).event
    assert isinstance(again, PlanPublished)
    return again


@pytest.mark.parametrize(
    ("plan_id", "price_minor", "tokens", "rate_nano"),
    [
        ("free", 0, 100_000, None),
        ("pro", 2_900, 2_000_000, 20_000_000),
        ("enterprise", 9_900, 10_000_000, 15_000_000),
    ],
)
def test_token_plans_are_published_as_they_were_asked_for(
    plan_id: str, price_minor: int, tokens: int, rate_nano: int | None
) -> None:
    plan = published(plan_id)
    policy, renewal = ("block", "ledger") if rate_nano is None else ("bill", "subscription")

    (allowance,) = plan.allowances
    overage = plan.terms.overage
    assert load_catalogue(EXAMPLE).plans[plan_id].price_minor == price_minor
    assert (allowance.unit, allowance.amount, allowance.valid_days) == ("token", tokens, None)
    assert (overage.policy, overage.nano_per_1k_tokens, plan.renewal) == (policy, rate_nano, renewal)


def test_bundles_fair_use_and_pay_per_use_are_there() -> None:
    catalogue = load_catalogue(EXAMPLE)

    calls = {name: one.requests for name, one in catalogue.bundles.items() if one.requests and not one.only_with}
    assert calls == {"bundle_10": 10, "bundle_25": 25}
    assert [(one.amount, one.then) for one in published("subscription_unlimited").soft_limits] == [
        (200, "warn"),
        (500, "throttle"),
        (1_000, "block"),
    ]
    pay = published("pay_per_use")
    assert (pay.kind, pay.markup_bps, pay.allowances) == ("pay_per_use", 1_500, ())
    assert (pay.terms.overage.policy, pay.terms.overage.collect) == ("bill", "payment")


def test_nothing_of_the_example_can_make_a_loss_and_plans_earn_half_typically() -> None:
    """(money.md 20)."""
    found = {one.offer_id: one for one in margins(load_catalogue(EXAMPLE), BOOK, at=AT)}

    assert not [one.offer_id for one in found.values() if one.is_loss]
    for plan_id in ("pro", "enterprise", "subscription_unlimited"):
        assert all((one.typical_bps or 0) >= 5_000 for one in found[plan_id].margins), plan_id


def test_a_service_does_not_start_with_an_offer_that_can_make_a_loss(tmp_path: Path) -> None:
    """(money.md 20)."""
    dear, book = tmp_path / "dear.toml", tmp_path / "book.toml"
    dear.write_text(EXAMPLE.read_text().replace('price = "12"', 'price = "0.50"'))
    book.write_text(BOOK_PATH.read_text())

    refuse_losses(checked(load_catalogue(EXAMPLE), book, at=AT))
    with pytest.raises(CatalogueError, match="bundle_25: can make a loss"):
        refuse_losses(checked(load_catalogue(dear), book, at=AT))
    with pytest.raises(CatalogueError, match="cannot be computed"):
        checked(load_catalogue(EXAMPLE), tmp_path / "nowhere.toml", at=AT)


def test_limits_per_member_and_call_and_seats_are_published(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    more = 'limits = { member_concurrency = 2, max_price = "0.75", '
    path.write_text(EXAMPLE.read_text().replace("limits = { ", f"seats = 7\ntrial_days = 14\n{more}", 1))

    plan = load_catalogue(path).plans["free"]
    told = plan_published(Terms("free", 1, "", "usd", plan), effective_at=AT)

    assert (told.limits.member_concurrency, told.limits.max_price_nano) == (2, 750_000_000)
    assert (told.seats, told.trial_days) == (7, 14)
    assert spec_digest(plan, "usd") != spec_digest(load_catalogue(EXAMPLE).plans["free"], "usd")
    assert parse_spec("plan", spec_values(plan)) == plan


def test_a_plan_that_bills_tokens_below_their_cost_is_a_loss() -> None:
    """(money.md 20)."""
    catalogue = load_catalogue(EXAMPLE)
    pro = catalogue.plans["pro"]
    cheap = pro.model_copy(update={"terms": pro.terms.model_copy(update={"weights": ()}), "models": None})
    worse = catalogue.model_copy(update={"plans": {**catalogue.plans, "pro": cheap}})

    assert [one.offer_id for one in margins(worse, BOOK, at=AT) if one.is_loss] == ["pro"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("tokens = 100_000 }", 'tokens = 100_000, credits = "1" }'), "plans.free.allowances.0"),
        (('renewal = "ledger"', 'renewal = "never"'), "plans.free.renewal"),
        (("hundredths = 500", "hundredths = -1"), "plans.free.terms.weights.0.hundredths"),
        (("concurrency = 2", "member_concurrency = 0"), "plans.free.limits.member_concurrency"),
        (('price = "29"', 'price = "29"\nper_seat = true'), "plans.pro.*seats"),
        (('price = "29"', 'price = "29"\nprices = { jpy = "2900" }'), "plans.pro.prices.jpy"),
        (('price = "29"', 'price = "29"\nprices = { eur = "0.10" }'), "plans.pro.*0.50"),
        (('price = "29"', 'price = "29"\ngrace = { days = -1 }'), "plans.pro.grace.days"),
        (('then = "block"', 'then = "shout"'), "plans.subscription_unlimited.soft_limits.2.then"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], field: str) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(EXAMPLE.read_text().replace(change[0], change[1], 1))

    with pytest.raises(CatalogueError, match=field):
        load_catalogue(path)


def test_offers_from_before_keep_their_digests() -> None:
    """Otherwise an update of the product would publish a new version of every plan."""
    digests = {name: spec_digest(spec, "usd")[:12] for name, spec in load_catalogue(SHIPPED_CATALOGUE).offers().items()}

    assert digests == {
        "trial": "2f71c9ea4b8d",
        "starter": "a6ac666f7359",
        "credits_10": "7a2d70eef0fc",
        "credits_25": "9941338d7ca8",
        "top_up": "beeb6f23e866",
    }
    assert isinstance(load_catalogue(SHIPPED_CATALOGUE).plans["trial"], PlanSpec)


def test_the_typical_margin_follows_the_mix_that_is_really_used() -> None:
    """(money.md 20)."""
    rows = [
        {"model": "claude-sonnet-5-5", "shares_ppm": {"cache_read": 1_000_000}},
        {"model": "claude-haiku-4-5", "shares_ppm": {"output": 1_000_000}},
        {"model": "claude-sonnet-4-5", "shares_ppm": {}},
    ]
    catalogue = load_catalogue(EXAMPLE)

    def typical(found: list[OfferMargins]) -> dict[str, int | None]:
        (pro,) = [one for one in found if one.offer_id == "pro"]
        return {one.model: one.typical_bps for one in pro.margins}

    usual = typical(margins(catalogue, BOOK, at=AT))
    used = typical(margins(catalogue, BOOK, at=AT, mixes=mixes_of(rows)))

    assert used["claude-sonnet-5-5"] != usual["claude-sonnet-5-5"]
    assert used["claude-haiku-4-5"] != usual["claude-haiku-4-5"]
    assert used["claude-sonnet-4-5"] == usual["claude-sonnet-4-5"]
