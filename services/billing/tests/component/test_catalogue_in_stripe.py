"""The catalogue and Stripe: shown before it is done, done once, and nothing that somebody has is touched."""

from pathlib import Path

import pytest_asyncio

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.stripe_api import StripeApi
from billing.domain.catalogue import Catalogue
from billing.service.pushing import Pusher, Step

CATALOGUE = load_catalogue(Path(__file__).parents[1] / "shop.toml")


@pytest_asyncio.fixture
async def pusher(shop):
    key = shop.billing.settings.stripe_secret_key.get_secret_value()
    stripe = StripeApi(key, api_url=shop.billing.stripe.base_url)
    yield Pusher(shop.billing.database, stripe, clock=shop.billing.clock)
    await stripe.close()


def dearer(**changes: int) -> Catalogue:
    """The catalogue with other prices for some plans."""
    plans = {name: CATALOGUE.plans[name].model_copy(update={"price_minor": minor}) for name, minor in changes.items()}
    return CATALOGUE.model_copy(update={"plans": {**CATALOGUE.plans, **plans}})


def counted(steps: list[Step]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in steps:
        found[step.action] = found.get(step.action, 0) + 1
    return found


async def test_what_is_shown_is_done_and_is_not_done_again(shop, pusher):
    await pusher.push(CATALOGUE)

    assert counted(await pusher.diff(CATALOGUE)) == {}
    before = len(shop.billing.stripe.requests())
    assert await pusher.push(CATALOGUE) == []
    writes = [one for one in shop.billing.stripe.requests()[before:] if one["method"] == "POST"]
    assert writes == []


async def test_a_changed_price_is_a_new_one_and_the_old_one_stays_while_somebody_has_it(shop, pusher, customer):
    await pusher.push(CATALOGUE)
    await shop.buy(customer, "team")
    extra = CATALOGUE.bundles["extra"].model_copy(update={"price_minor": 900})
    changed = dearer(team=1500).model_copy(update={"bundles": {"extra": extra}})

    shown = await pusher.diff(changed)

    assert counted(shown) == {"publish": 2, "create price": 2, "keep price": 1, "retire price": 1}
    kept = next(step for step in shown if step.action == "keep price")
    assert kept.name.startswith("faregate_team_v1_")
    assert kept.detail.endswith("subscriptions have it")


async def test_subscribers_come_to_another_version_when_their_period_ends(ground):
    """On its own ground: what is published here must not be sold to other tests' customers."""
    async with ground.serving(catalogue=Path(__file__).parents[1] / "shop.toml") as billing:
        account = await billing.new_account()
        session = await billing.bought(account, "small")
        stripe = StripeApi(billing.settings.stripe_secret_key.get_secret_value(), api_url=billing.stripe.base_url)
        pusher = Pusher(billing.database, stripe, clock=billing.clock)
        await pusher.push(dearer(small=2500))

        (move,) = await pusher.moves("small")
        assert (move.account_id, move.old.price_minor, move.new.price_minor) == (account.id, 2000, 2500)
        await pusher.move(move)
        await billing.rest()
        assert await pusher.moves("small") == []
        assert [one["paid_minor"] for one in await billing.events("billing.payment-settled.v1", account.id)] == ["2000"]

        billing.stripe.control(f"/sandbox/subscriptions/{session['subscription']}/renew")
        await billing.rest()
        paid = await billing.events("billing.payment-settled.v1", account.id)
        assert sorted(one["paid_minor"] for one in paid) == ["2000", "2500"]
        assert {one["plan_version"] for one in paid} == {1, 2}
        await stripe.close()
