"""`python -m notifier send-test|preview`: one real mail, or every kind filled with examples."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from kit.ids import uuid7
from kit.settings import load
from notifier.adapters.directory import Recipient
from notifier.adapters.rendering import Rendered
from notifier.app import create_renderer, create_sender
from notifier.domain.kinds import KINDS
from notifier.domain.samples import SAMPLES
from notifier.errors import DeliveryError, NothingToSendError, TemplateBrokenError
from notifier.service.sending import Sender
from notifier.settings import NotifierSettings


def send_test(email: Annotated[str, typer.Argument(help="where the test mail goes", metavar="EMAIL")]) -> None:
    """Really send one mail; exit 1 with the reason when it is not taken."""
    settings = load(NotifierSettings, service="notifier")
    _send(settings, ["send-test"], email, locale=None)
    typer.echo(f"handed over to {settings.smtp_host}:{settings.smtp_port}")


def preview(
    kind: Annotated[str | None, typer.Argument(help="one kind; all when none is named")] = None,
    *,
    locale: Annotated[str, typer.Option(help="the language, for example de")] = "en",
    folder: Annotated[Path | None, typer.Option(help="write NAME.html and NAME.txt here", file_okay=False)] = None,
    to: Annotated[str | None, typer.Option(help="really send them to this address", metavar="EMAIL")] = None,
) -> None:
    """Show mails filled with examples: in the terminal, in a folder, or really sent."""
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    settings, kinds = load(NotifierSettings, service="notifier"), [kind] if kind else list(KINDS)
    if to is not None:
        _send(settings, kinds, to, locale=locale)
        typer.echo(f"handed {len(kinds)} over to {settings.smtp_host}:{settings.smtp_port}")
        return
    for name, mail in _rendered(settings, kinds, locale=locale).items():
        if folder is None:
            typer.echo(f"== {name}\nSubject: {mail.subject}\n\n{mail.text}")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.html").write_text(mail.html)
            (folder / f"{name}.txt").write_text(f"Subject: {mail.subject}\n\n{mail.text}")
    if folder is not None:
        typer.echo(f"wrote {len(kinds)} mails to {folder}")


def _rendered(settings: NotifierSettings, kinds: list[str], *, locale: str) -> dict[str, Rendered]:
    try:
        renderer = create_renderer(settings)
    except TemplateBrokenError as error:
        typer.echo(f"a template cannot be filled: {error}", err=True)
        raise typer.Exit(1) from None
    return {name: renderer.render(name, SAMPLES[name], locale=locale, link=SAMPLES[name].get("link")) for name in kinds}


def _send(settings: NotifierSettings, kinds: list[str], address: str, *, locale: str | None) -> None:
    sender = create_sender(settings, people=_Nobody(), clock=settings.clock())
    try:
        asyncio.run(_send_all(sender, kinds, address, locale=locale, settings=settings))
    except DeliveryError as error:
        typer.echo(f"not sent: {error.reason}", err=True)
        raise typer.Exit(1) from None


async def _send_all(
    sender: Sender, kinds: list[str], address: str, *, locale: str | None, settings: NotifierSettings
) -> None:
    for kind in kinds:
        await sender.send_sample(kind, address, delivery_id=uuid7(settings.clock()), locale=locale)


class _Nobody:
    """Examples ask auth for nobody."""

    async def members(self, account_id: UUID, *, role: str) -> list[Recipient]:
        return []

    async def message(self, message_id: UUID) -> Recipient:
        raise NothingToSendError("an example is no message of auth's")

    async def payment_page(self, account_id: UUID, payment_id: str) -> str | None:
        return None
