"""Billing's composition root."""

from typing import Any

from fastapi import FastAPI

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.confirm_links import ConfirmLinks
from billing.adapters.ledger_api import LedgerApi
from billing.adapters.stripe_api import StripeApi
from billing.adapters.stripe_subscriptions import StripeSubscriptions
from billing.domain.catalogue import Catalogue
from billing.domain.returns import ReturnPages
from billing.entrypoints.events import build_consumer
from billing.entrypoints.http import (
    aliases,
    checkout,
    confirming,
    internal,
    offers,
    operator,
    pages,
    payment_methods,
    statements,
    subscription,
    tax_ids,
    webhooks,
)
from billing.entrypoints.intake import Intake
from billing.entrypoints.keeper import Keeper
from billing.entrypoints.meter_reporter import MeterReporter
from billing.entrypoints.poller import Poller, Sweeper
from billing.entrypoints.publisher import CataloguePublisher
from billing.entrypoints.tax_watch import watch_taxes
from billing.entrypoints.webhook_worker import WebhookWorker
from billing.service.changing import ChangeDesk
from billing.service.checkout import CheckoutDesk
from billing.service.collecting import Collecting
from billing.service.confirming import Confirming
from billing.service.giving_back import GivingBack
from billing.service.margins import checked, refuse_losses
from billing.service.metering import Metering
from billing.service.paths import Paths
from billing.service.pay_per_use import PayPerUse
from billing.service.standing import Standing
from billing.service.tax_ids import TaxIdDesk
from billing.service.taxes import Taxes
from billing.service.top_ups import TopUps
from billing.service.wallets import WalletDesk
from billing.settings import BillingSettings
from kit import logging
from kit.service import Service
from kit.tokens import KeySource

log = logging.get(__name__)

ROUTERS = (
    checkout.router,
    offers.router,
    statements.router,
    subscription.router,
    payment_methods.router,
    tax_ids.router,
    operator.router,
    webhooks.router,
    aliases.router,
    internal.router,
    confirming.router,
    pages.router,
)


def create_app(settings: BillingSettings, *, keys: KeySource | None = None, group: str = "billing") -> FastAPI:
    """The service; raises `CatalogueError` when the catalogue file cannot be used. `group` is its consumer group."""
    catalogue = load_catalogue(settings.catalogue)
    _check_margins(settings, catalogue)
    service = Service(
        name="billing",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        secret=settings.service_secret.get_secret_value() if settings.service_secret else None,
        consumer=build_consumer(group, clock=settings.clock()),
        keys=keys,
    )
    database, clock = service.database, service.clock
    stripe = StripeApi(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)
    publisher = CataloguePublisher(database, catalogue, clock=clock)
    intake = Intake(database, clock=clock)
    worker = WebhookWorker(database, stripe, clock=clock, give_way=intake.give_way)
    intake.on_stored.append(worker.wake)
    service.background = {"stripe": stripe.hold_open, "catalogue": publisher.run, "webhooks": worker.run}
    service.ready = {"catalogue": publisher.ready}
    if settings.stripe_poll_s > 0:
        poller = Poller(database, stripe, clock=clock, every_s=settings.stripe_poll_s, wake=worker.wake)
        service.background["poller"] = poller.run
    metering = Metering(database, stripe.meters, clock=clock)
    state = {
        **_desks(service, stripe, settings, metering=metering),
        "pages": pages.load_pages(),
        "return_pages": ReturnPages(settings.public_url.rstrip("/")),
        "webhook_door": webhooks.WebhookDoor(settings.webhook_secrets, intake),
    }
    taxes = state["taxes"]
    service.background["taxes"] = lambda: watch_taxes(taxes)
    service.background["keeper"] = state["keeper"].run
    service.background["sweeper"] = Sweeper(database, stripe, clock=clock, wake=worker.wake).run
    giving_back = GivingBack(database, stripe.meters, clock)
    service.background["meter"] = MeterReporter(database, metering, giving_back, clock=clock).run
    return service.app(title="Faregate billing", routers=ROUTERS, state=state)


def _desks(service: Service, stripe: StripeApi, settings: BillingSettings, *, metering: Metering) -> dict[str, Any]:
    """What the routes ask, and what keeps time."""
    database, clock = service.database, service.clock
    paths = Paths(settings.paths, clock)
    use = PayPerUse(paths, clock)
    payments = stripe.payments
    subscriptions = StripeSubscriptions(stripe.client)
    taxes = Taxes(database, stripe.taxes, clock)
    collecting = Collecting(database, payments, stripe.taxes, _ledger(service, settings), paths, clock)
    return {
        "desk": CheckoutDesk(database, stripe, paths=paths, clock=clock),
        "change_desk": ChangeDesk(database, stripe, subscriptions, pay_per_use=use, metering=metering, clock=clock),
        "tax_ids": TaxIdDesk(database, stripe),
        "taxes": taxes,
        "wallets": WalletDesk(database, payments, clock=clock),
        "confirming": Confirming(database, payments, links=_confirm_links(settings), clock=clock),
        "top_ups": TopUps(paths, clock),
        "pay_per_use": use,
        "paths": paths,
        "keeper": Keeper(database, standing=Standing(paths), pay_per_use=use, collecting=collecting, clock=clock),
    }


def _confirm_links(settings: BillingSettings) -> ConfirmLinks | None:
    secret = settings.service_secret
    public_url = settings.public_url.rstrip("/")
    return ConfirmLinks(secret.get_secret_value(), public_url=public_url) if secret is not None else None


def _ledger(service: Service, settings: BillingSettings) -> LedgerApi | None:
    """Without it nothing tops up by itself: nobody knows what is left."""
    if settings.ledger_url is None or settings.service_secret is None:
        log.warning("billing.top_ups_off", reason="FAREGATE_LEDGER_URL or FAREGATE_BILLING_SERVICE_SECRET is not set")
        return None
    return LedgerApi(settings.ledger_url, http=service.http, tokens=service.service_tokens())


def _check_margins(settings: BillingSettings, catalogue: Catalogue) -> None:
    """What is for sale may not make a loss, unless somebody said so (money.md 20)."""
    if settings.price_book is None:
        log.warning("billing.margins_not_checked", reason="FAREGATE_BILLING_PRICE_BOOK names no price book")
        return
    found = checked(catalogue, settings.price_book, at=settings.clock().now())
    for offer in found:
        for one in offer.margins[:1]:
            worst, typical = one.worst_bps, one.typical_bps
            log.info(
                "billing.worst_margin", offer=offer.offer_id, model=one.model, worst_bps=worst, typical_bps=typical
            )
    if not settings.sell_at_a_loss:
        refuse_losses(found)
