"""The composition root: builds the notifier from its settings."""

from dataclasses import dataclass
from email.utils import parseaddr
from functools import partial
from typing import Final

from fastapi import FastAPI

from kit.clock import Clock
from kit.service import Service
from kit.tokens import KeySource
from notifier.adapters.chat import Chats
from notifier.adapters.directory import Directory
from notifier.adapters.inside import Inside
from notifier.adapters.keys import AddressHashes, UnsubscribeLinks
from notifier.adapters.mail import Mailer, SmtpServer
from notifier.adapters.outward import Outward
from notifier.adapters.rendering import Renderer
from notifier.adapters.sealing import Sealer
from notifier.domain.delivering import Patience
from notifier.domain.endpoints import PushPatience
from notifier.domain.samples import SAMPLES
from notifier.entrypoints import bounces, endpoints, feed, operators, preferences, stream, unsubscribing
from notifier.entrypoints.events import Heard, build_consumer
from notifier.entrypoints.keeper import Keeper
from notifier.entrypoints.live import LiveFeeds
from notifier.entrypoints.parts import Parts
from notifier.entrypoints.worker import DeliveryWorker, mailing, pushing, watch_backlog
from notifier.service.deliveries import Deliveries
from notifier.service.endpoints import Endpoints
from notifier.service.noticing.accounts import Notices
from notifier.service.noticing.operators import OperatorNotices
from notifier.service.noticing.queue import NoticeQueue
from notifier.service.noticing.subscriptions import SubscriptionNotices
from notifier.service.planning import Planning
from notifier.service.pushing import Pusher
from notifier.service.sending import People, Sender
from notifier.service.suppression import Suppression
from notifier.service.targets import Targets
from notifier.settings import NotifierSettings

ROUTERS: Final = (
    operators.router,
    preferences.router,
    endpoints.router,
    bounces.router,
    unsubscribing.router,
    stream.router,
    feed.router,
)


def create_app(settings: NotifierSettings, keys: KeySource | None = None) -> FastAPI:
    """The whole notifier; nothing connects before its lifespan begins."""
    service = Service(
        name="notifier",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        secret=settings.service_secret.get_secret_value(),
        keys=keys,
    )
    outside = _outside(settings)
    workers = _workers(service, settings, outside)
    live = LiveFeeds(database=service.database, renderer=outside.renderer, clock=service.clock)

    def wake() -> None:
        for worker in workers.values():
            worker.wake()
        live.wake()

    queue = NoticeQueue(clock=service.clock)
    subscriptions = SubscriptionNotices(queue, clock=service.clock)
    heard = Heard(Notices(queue), subscriptions, OperatorNotices(queue))
    service.consumer = build_consumer(heard, group=settings.consumer_group, wake=wake)
    keeper = Keeper(
        service.database, subscriptions=subscriptions, keep_days=settings.keep_days, clock=service.clock, wake=wake
    )
    service.background |= {name: worker.run for name, worker in workers.items()}
    service.background |= {"live feeds": live.run, "backlog": partial(watch_backlog, service.database, service.clock)}
    service.background["keeper"] = keeper.run
    parts = Parts(
        database=service.database,
        clock=service.clock,
        identity=service.identity,
        renderer=outside.renderer,
        links=create_links(settings),
        suppression=Suppression(clock=service.clock, hashes=AddressHashes(settings.secret())),
        endpoints=create_endpoints(settings, outside, clock=service.clock),
        live=live,
        wake=wake,
        bounce_token=settings.bounce_token,
    )
    return service.app(title="Faregate notifier", routers=ROUTERS, state={"parts": parts})


@dataclass(frozen=True)
class Outside:
    """What reaches out of the house, and the words it says there."""

    renderer: Renderer
    outward: Outward
    chats: Chats
    sealer: Sealer


def _outside(settings: NotifierSettings) -> Outside:
    return Outside(
        create_renderer(settings),
        Outward(may_be_local=settings.endpoints_may_be_local),
        Chats(product=settings.product_name),
        Sealer(settings.secret()),
    )


def _workers(service: Service, settings: NotifierSettings, outside: Outside) -> dict[str, DeliveryWorker]:
    """Mails and endpoints have slots of their own: a slow endpoint holds up no mail."""
    database, clock = service.database, service.clock
    people = _directory(service, settings)
    mails = Deliveries(
        clock=clock, patience=Patience(give_up_after_s=settings.give_up_after_s), lease_s=settings.lease_s
    )
    targets = Deliveries(
        clock=clock,
        patience=PushPatience(),
        lease_s=settings.lease_s,
        lane="targets",
        targets=Targets(clock=clock, queue=NoticeQueue(clock=clock)),
    )
    planning = Planning(clock=clock, hashes=AddressHashes(settings.secret()), most_per_hour=settings.mails_per_hour)
    sender = create_sender(settings, people=people, clock=clock)
    pusher = Pusher(
        outward=outside.outward, chats=outside.chats, sealer=outside.sealer, renderer=outside.renderer, clock=clock
    )
    return {
        "mails": DeliveryWorker(
            database=database,
            deliveries=mails,
            attempt=mailing(database, planning, sender),
            slots=settings.delivery_slots,
        ),
        "endpoints": DeliveryWorker(
            database=database, deliveries=targets, attempt=pushing(database, pusher), slots=settings.endpoint_slots
        ),
    }


def _directory(service: Service, settings: NotifierSettings) -> Directory:
    tokens = service.service_tokens()
    auth = Inside("auth", settings.auth_url, http=service.http, tokens=tokens)
    billing = settings.billing_url
    return Directory(auth, Inside("billing", billing, http=service.http, tokens=tokens) if billing else None)


def create_endpoints(settings: NotifierSettings, outside: Outside | None = None, *, clock: Clock) -> Endpoints:
    outside = outside or _outside(settings)
    return Endpoints(clock=clock, outward=outside.outward, chats=outside.chats, sealer=outside.sealer)


def create_links(settings: NotifierSettings) -> UnsubscribeLinks:
    return UnsubscribeLinks(settings.secret(), public_url=settings.public_url.rstrip("/"))


def create_sender(settings: NotifierSettings, *, people: People, clock: Clock) -> Sender:
    """What attempts deliveries; the `send-test` command uses it without the rest."""
    return Sender(
        people=people,
        renderer=create_renderer(settings),
        mailer=Mailer(_smtp_server(settings)),
        links=create_links(settings),
        clock=clock,
        operator_address=parseaddr(settings.operator_mail)[1] if settings.operator_mail else None,
    )


def create_renderer(settings: NotifierSettings) -> Renderer:
    """The templates, the operator's own among them; raises `TemplateBrokenError` when one of those cannot be filled."""
    renderer = Renderer(
        public_url=settings.public_url.rstrip("/"), product=settings.product_name, folder=settings.templates
    )
    if settings.templates is not None:
        renderer.check(SAMPLES)
    return renderer


def _smtp_server(settings: NotifierSettings) -> SmtpServer:
    must_encrypt = settings.smtp_username is not None and settings.environment == "production"
    return SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_from,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        starttls=True if must_encrypt else settings.smtp_starttls,
        timeout_s=settings.smtp_timeout_s,
    )
