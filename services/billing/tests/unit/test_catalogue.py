"""The catalogue file: what is refused names field and reason."""

import pytest

from billing.adapters.catalogue_file import load_catalogue
from billing.domain.amounts import credit_text, money_text
from billing.domain.catalogue import Catalogue, parse_spec, spec_digest, spec_values
from billing.errors import CatalogueError
from billing.settings import SHIPPED_CATALOGUE

TRIAL = """
[plans.trial]
name = "Trial"
default = true
price = "0"
allowances = [{ rule = "trial", credits = "5", valid_days = 14 }]
"""
HEAD = 'format = 1\ncurrency = "usd"\n'
PAID = """
[plans.pro]
name = "Pro"
price = "20"
interval = "month"
allowances = [{ rule = "period", credits = "20" }]
"""
TOP_UP = '\n[top_up]\nname = "Any"\nleast = "5"\nmost = "50"\n'
AFTER = (
    PAID.replace("[plans.pro]", "[plans.after]")
    .replace("20", "0", 1)
    .replace('"month"', '"none"')
    .replace('allowances = [{ rule = "period", credits = "20" }]', 'kind = "pay_per_use"')
)
BUNDLE = '\n[bundles.small]\nname = "Small"\nprice = "10"\ncredits = "10"\n'


def test_the_shipped_catalogue_sells_what_it_says():
    catalogue = load_catalogue(SHIPPED_CATALOGUE)

    priced = {**catalogue.plans, **catalogue.bundles}
    assert [(offer_id, offer.price_minor) for offer_id, offer in priced.items()] == [
        ("trial", 0),
        ("starter", 2000),
        ("credits_10", 1000),
        ("credits_25", 2500),
    ]
    assert list(catalogue.offers()) == [*priced, "top_up"]
    assert catalogue.plans["trial"].default
    assert catalogue.plans["trial"].allowances[0].credits_nano == 5_000_000_000
    assert catalogue.plans["trial"].allowances[0].valid_days == 14
    assert catalogue.bundles["credits_10"].valid_days == 365


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        (HEAD + TRIAL.replace('"0"', "0"), "plans.trial.price", "decimal string"),
        (HEAD + TRIAL.replace('"5"', "5.0"), "plans.trial.allowances.0.credits", "decimal string"),
        (HEAD + TRIAL.replace('"5"', '"0.0000000001"'), "plans.trial.allowances.0.credits", "decimal string"),
        (HEAD + TRIAL.replace('"5"', '"0"'), "plans.trial.allowances.0.credits", "greater than 0"),
        (HEAD + TRIAL.replace('"5"', '"9000001"'), "plans.trial.allowances.0.credits", "too large"),
        (HEAD + TRIAL.replace("default = true", ""), "catalogue", "exactly one must say default = true, 0 do"),
        (HEAD + TRIAL.replace(", valid_days = 14", ""), "plans.trial", "valid_days"),
        (HEAD + TRIAL.replace("name", "nam"), "plans.trial.nam", "Extra inputs"),
        (HEAD + TRIAL + PAID.replace('"20"\nint', '"20.001"\nint'), "plans.pro.price", "decimals"),
        (HEAD + TRIAL + PAID.replace('"20"\nint', '"0.10"\nint'), "plans.pro", "0.50"),
        (HEAD + TRIAL + PAID.replace('interval = "month"', ""), "plans.pro", "interval"),
        (HEAD + TRIAL + PAID.replace('"Pro"', '"Pro"\ndefault = true'), "plans.pro", "default"),
        (HEAD + TRIAL + PAID.replace('credits = "20"', 'credits = "20", valid_days = 3'), "plans.pro", "allowances"),
        (HEAD + TRIAL + PAID.replace("plans.pro", "plans.Pro"), "plans.Pro", "pattern"),
        (HEAD + TRIAL + BUNDLE.replace('"10"\ncredits', '"0.49"\ncredits'), "bundles.small.price", "50"),
        (HEAD + TRIAL + BUNDLE.replace("bundles.small", "bundles.trial"), "catalogue", "id of a plan already"),
        (HEAD + TRIAL + BUNDLE + 'only_with = ["gone"]', "catalogue", "gone is no plan"),
        (HEAD + TRIAL + BUNDLE + 'prices = { eur = "0.49" }', "bundles.small.prices.eur", "50"),
        (HEAD + TRIAL + TOP_UP.replace('"50"', '"4"'), "top_up", "not less than least"),
        (HEAD + TRIAL + TOP_UP.replace('"50"', '"90000001"'), "top_up", "fits into one grant"),
        (HEAD + TRIAL + BUNDLE.replace("bundles.small", "bundles.top_up"), "catalogue", "free"),
        (HEAD + TRIAL.replace('price = "0"', 'price = "0"\nper_seat = true'), "plans.trial", "plans with a price"),
        (HEAD + TRIAL + PAID + "per_seat = true", "plans.pro", "seats"),
        (
            HEAD + TRIAL + AFTER + '[plans.after.terms.overage]\npolicy = "bill"\ncollect = "payment"',
            "plans.after",
            "pay_per_use",
        ),
        (HEAD.replace("usd", "eur") + TRIAL, "currency", "'usd'"),
        (HEAD.replace("1", "2") + TRIAL, "format", "1"),
        ("format = ", "", "is not TOML"),
    ],
)
def test_a_wrong_catalogue_names_field_and_reason(tmp_path, content, field, reason):
    path = tmp_path / "catalogue.toml"
    path.write_text(content)

    with pytest.raises(CatalogueError) as refused:
        load_catalogue(path)

    assert field in str(refused.value)
    assert reason in str(refused.value)


def test_a_missing_catalogue_is_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"nowhere\.toml: cannot be read"):
        load_catalogue(tmp_path / "nowhere.toml")


def test_a_spec_survives_its_storage_and_layout_does_not_change_its_digest():
    catalogue = load_catalogue(SHIPPED_CATALOGUE)
    plan = catalogue.plans["starter"]

    assert parse_spec("plan", spec_values(plan)) == plan
    assert spec_digest(plan, "usd") == spec_digest(parse_spec("plan", spec_values(plan)), "usd")
    spelled_otherwise = Catalogue.model_validate(
        {
            "format": 1,
            "currency": "usd",
            "plans": {"trial": {**spec_values(catalogue.plans["trial"]), "price": "0.0"}},
        }
    )
    assert spec_digest(spelled_otherwise.plans["trial"], "usd") == spec_digest(catalogue.plans["trial"], "usd")


@pytest.mark.parametrize(
    ("nano", "shown"),
    [(0, "0"), (1, "0.000000001"), (5_000_000_000, "5"), (1_500_000_000, "1.5"), (-5, "-0.000000005")],
)
def test_credits_are_shown_as_decimals(nano, shown):
    assert credit_text(nano) == shown


@pytest.mark.parametrize(("minor", "shown"), [(0, "0.00"), (5, "0.05"), (2000, "20.00"), (-150, "-1.50")])
def test_money_is_shown_as_decimals(minor, shown):
    assert money_text(minor) == shown
