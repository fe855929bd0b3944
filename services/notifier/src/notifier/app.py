"""The composition root: builds the notifier from its settings."""

from email.utils import parseaddr
from functools import partial

from fastapi import FastAPI

from kit.clock import Clock
from kit.service import Service
from kit.tokens import KeySource
from notifier.adapters.directory import Directory
from notifier.adapters.mail import Mailer, SmtpServer
from notifier.adapters.rendering import Renderer
from notifier.domain import Patience
from notifier.entrypoints.events import build_consumer
from notifier.entrypoints.http import router
from notifier.entrypoints.worker import DeliveryWorker, watch_backlog
from notifier.service.deliveries import Deliveries
from notifier.service.notices import Notices
from notifier.service.sending import People, Sender
from notifier.settings import NotifierSettings


def create_app(settings: NotifierSettings, keys: KeySource | None = None) -> FastAPI:
    """The whole notifier; nothing connects before its lifespan begins."""
    service = Service(
        name="notifier",
        settings=settings,
        database_url=settings.database_url.get_secret_value(),
        secret=settings.service_secret.get_secret_value(),
        keys=keys,
    )
    people = Directory(settings.auth_url, http=service.http, tokens=service.service_tokens())
    deliveries = Deliveries(
        clock=service.clock, patience=Patience(give_up_after_s=settings.give_up_after_s), lease_s=settings.lease_s
    )
    worker = DeliveryWorker(
        database=service.database,
        deliveries=deliveries,
        sender=create_sender(settings, people=people, clock=service.clock),
        slots=settings.delivery_slots,
    )
    service.consumer = build_consumer(Notices(clock=service.clock), group=settings.consumer_group, wake=worker.wake)
    service.background |= {
        "deliveries": worker.run,
        "backlog": partial(watch_backlog, service.database, deliveries),
    }
    return service.app(title="Faregate notifier", routers=[router])


def create_sender(settings: NotifierSettings, *, people: People, clock: Clock) -> Sender:
    """What attempts deliveries; the `send-test` command uses it without the rest."""
    return Sender(
        people=people,
        renderer=Renderer(public_url=settings.public_url.rstrip("/")),
        mailer=Mailer(_smtp_server(settings)),
        clock=clock,
        operator_address=parseaddr(settings.operator_mail)[1] if settings.operator_mail else None,
    )


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
