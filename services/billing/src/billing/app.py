"""Billing's composition root."""

from fastapi import FastAPI

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.stripe_api import StripeApi
from billing.domain.catalogue import Catalogue
from billing.domain.returns import ReturnPages
from billing.entrypoints.events import build_consumer
from billing.entrypoints.http import checkout, offers, pages, statements, webhooks
from billing.entrypoints.poller import Poller
from billing.entrypoints.publisher import CataloguePublisher
from billing.entrypoints.webhook_worker import WebhookWorker
from billing.service.checkout import CheckoutDesk
from billing.service.margins import checked, refuse_losses
from billing.settings import BillingSettings
from kit import logging
from kit.service import Service
from kit.tokens import KeySource

log = logging.get(__name__)

ROUTERS = (checkout.router, offers.router, statements.router, webhooks.router, pages.router)


def create_app(settings: BillingSettings, *, keys: KeySource | None = None, group: str = "billing") -> FastAPI:
    """The service; raises `CatalogueError` when the catalogue file cannot be used. `group` is its consumer group."""
    catalogue = load_catalogue(settings.catalogue)
    _check_margins(settings, catalogue)
    service = Service(
        name="billing",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        consumer=build_consumer(group),
        keys=keys,
    )
    database, clock = service.database, service.clock
    stripe = StripeApi(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)
    publisher = CataloguePublisher(database, catalogue, clock=clock)
    worker = WebhookWorker(database, stripe, clock=clock)
    service.background = {"stripe": stripe.hold_open, "catalogue": publisher.run, "webhooks": worker.run}
    service.ready = {"catalogue": publisher.ready}
    if settings.stripe_poll_s > 0:
        poller = Poller(database, stripe, clock=clock, every_s=settings.stripe_poll_s, wake=worker.wake)
        service.background["poller"] = poller.run
    state = {
        "desk": CheckoutDesk(database, stripe, clock=clock),
        "pages": pages.load_pages(),
        "return_pages": ReturnPages(settings.public_url.rstrip("/")),
        "webhook_door": webhooks.WebhookDoor(settings.webhook_secrets, worker.wake),
    }
    return service.app(title="Faregate billing", routers=ROUTERS, state=state)


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
