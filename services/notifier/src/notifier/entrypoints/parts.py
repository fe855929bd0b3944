"""What the routes share: the parts that the composition root built, the reader, the language, described refusals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import SecretStr

from kit.clock import Clock
from kit.database import Database
from kit.http import Problem
from kit.identity import CallerDep, Identity
from notifier.adapters.keys import UnsubscribeLinks
from notifier.adapters.rendering import LANGUAGES, Renderer
from notifier.domain.feeding import Reader
from notifier.entrypoints.live import LiveFeeds
from notifier.service.endpoints import Endpoints
from notifier.service.suppression import Suppression


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Built once per process."""

    database: Database
    clock: Clock
    identity: Identity
    renderer: Renderer
    links: UnsubscribeLinks
    suppression: Suppression
    endpoints: Endpoints
    live: LiveFeeds
    wake: Callable[[], None]
    bounce_token: SecretStr | None


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _reader(caller: CallerDep) -> Reader:
    return Reader.of(user_id=caller.user_id, account_id=caller.account_id, role=caller.role)


async def _language(accept_language: Annotated[str | None, Header(max_length=200)] = None) -> str:
    """The first of the wanted languages that is shipped."""
    wanted = [part.partition(";")[0].strip().lower()[:2] for part in (accept_language or "").split(",")]
    return next((language for language in wanted if language in LANGUAGES), LANGUAGES[0])


PartsDep = Annotated[Parts, Depends(_parts)]
ReaderDep = Annotated[Reader, Depends(_reader)]
LanguageDep = Annotated[str, Depends(_language)]


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declares problems for the OpenAPI document."""
    return {status: {"model": Problem} for status in (401, *statuses, 422)}
