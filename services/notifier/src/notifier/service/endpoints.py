"""An account's endpoints: made, changed, signed anew, tried, told again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.errors import InvalidError
from kit.ids import uuid7
from notifier.adapters.chat import Chats
from notifier.adapters.outward import Outward
from notifier.adapters.sealing import Sealer
from notifier.adapters.signing import new_secret
from notifier.domain.delivering import Delivery, Notice
from notifier.domain.endpoints import ENDPOINT_TEST, MOST_ENDPOINTS, Channel, Endpoint, SealedEndpoint
from notifier.domain.kinds import CHOOSABLE, Audience
from notifier.errors import AddressForbiddenError, TooManyEndpointsError, UnknownEndpointError
from notifier.repository import deliveries, endpoints
from notifier.repository.deliveries import Position

KNOWN_KINDS: Final = frozenset(kind.name for kind in CHOOSABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks of a new endpoint; `kinds` None is all."""

    channel: Channel
    url: str
    description: str = ""
    kinds: tuple[str, ...] | None = None
    language: str = "en"


class Endpoints:
    """Endpoints of one account each; URLs are checked before they are kept and sealed when they are."""

    def __init__(self, *, clock: Clock, outward: Outward, chats: Chats, sealer: Sealer) -> None:
        self._clock = clock
        self._outward = outward
        self._chats = chats
        self._sealer = sealer

    async def make(self, session: AsyncSession, account_id: UUID, wanted: Wanted) -> tuple[Endpoint, str | None]:
        """The endpoint and its signing secret, which is never shown again; chats have none."""
        if await endpoints.lock_account(session, account_id) >= MOST_ENDPOINTS:
            raise TooManyEndpointsError(f"An account has at most {MOST_ENDPOINTS} endpoints.")
        endpoint_id = uuid7(self._clock)
        secret = new_secret() if wanted.channel == "webhook" else None
        made = await endpoints.insert_endpoint(
            session,
            {
                "id": endpoint_id,
                "account_id": account_id,
                "channel": wanted.channel,
                "description": wanted.description,
                **self._url(wanted.channel, wanted.url, endpoint_id=endpoint_id),
                "secret_sealed": self._sealer.seal(secret, name=f"{endpoint_id} secret") if secret else None,
                "kinds": _kinds(wanted.kinds),
                "language": wanted.language,
                "state": "active",
                "created_at": self._clock.now(),
            },
        )
        return made, secret

    async def get(self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID | None) -> Endpoint:
        found = await endpoints.find_endpoint(session, endpoint_id, account_id=account_id)
        if found is None:
            raise UnknownEndpointError("There is no such endpoint.")
        return found

    async def change(
        self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID, changes: dict[str, Any]
    ) -> Endpoint:
        """Change what is given; an endpoint that is switched on again begins with a clean slate."""
        known = await self.get(session, endpoint_id, account_id=account_id)
        same = ("description", "language", "state")
        values: dict[str, Any] = {name: changes[name] for name in same if name in changes}
        if "kinds" in changes:
            values["kinds"] = _kinds(changes["kinds"])
        if "url" in changes:
            values |= self._url(known.channel, changes["url"], endpoint_id=endpoint_id)
        if changes.get("state") == "active":
            values |= {"failing_since": None, "disabled_reason": None}
        elif changes.get("state") == "disabled":
            values["disabled_reason"] = "switched off by the account"
        if not values:
            return known
        changed = await endpoints.update_endpoint(session, endpoint_id, account_id=account_id, values=values)
        return changed or known

    async def rotate(
        self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID, overlap_s: int
    ) -> tuple[Endpoint, str]:
        """A new secret; requests are signed with the old one as well until the overlap ends."""
        known = await self.get(session, endpoint_id, account_id=account_id)
        sealed = await endpoints.find_sealed(session, endpoint_id)
        if known.channel != "webhook" or sealed is None or sealed.secret_sealed is None:
            raise InvalidError("A chat has no signing secret.")
        secret = new_secret()
        old = self._sealer.open(sealed.secret_sealed, name=f"{endpoint_id} secret")
        values = {
            "secret_sealed": self._sealer.seal(secret, name=f"{endpoint_id} secret"),
            "old_secret_sealed": self._sealer.seal(old, name=f"{endpoint_id} old secret") if overlap_s else None,
            "old_secret_until": self._clock.now() + timedelta(seconds=overlap_s) if overlap_s else None,
        }
        changed = await endpoints.update_endpoint(session, endpoint_id, account_id=account_id, values=values)
        assert changed is not None
        return changed, secret

    async def remove(self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID) -> None:
        if not await endpoints.delete_endpoint(session, endpoint_id, account_id=account_id):
            raise UnknownEndpointError("There is no such endpoint.")

    async def test(self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID) -> UUID:
        """Queue a test; the delivery's id."""
        found, now = await self.get(session, endpoint_id, account_id=account_id), self._clock.now()
        delivery_id = uuid7(self._clock)
        notice = Notice(
            dedupe_key=f"{ENDPOINT_TEST}:{delivery_id}",
            kind=ENDPOINT_TEST,
            audience=Audience.ACCOUNT,
            occurred_at=now,
            account_id=account_id,
            channel=found.channel,
            target_id=endpoint_id,
        )
        await deliveries.insert_delivery(session, notice, delivery_id=delivery_id, now=now)
        return delivery_id

    async def replay(
        self,
        session: AsyncSession,
        endpoint_id: UUID,
        *,
        account_id: UUID | None,
        since: datetime,
        until: datetime | None,
        failed_only: bool,
    ) -> int:
        """Send again what was queued for this endpoint in a window, with the same ids; how many that is."""
        await self.get(session, endpoint_id, account_id=account_id)
        return await deliveries.requeue(
            session, endpoint_id, since=since, until=until, failed_only=failed_only, now=self._clock.now()
        )

    async def list_deliveries(
        self, session: AsyncSession, endpoint_id: UUID, *, account_id: UUID, after: Position | None, limit: int
    ) -> list[Delivery]:
        await self.get(session, endpoint_id, account_id=account_id)
        return await deliveries.list_endpoint_deliveries(session, endpoint_id, after=after, limit=limit)

    def _url(self, channel: Channel, url: str, *, endpoint_id: UUID) -> dict[str, Any]:
        """The sealed URL and what may be seen of it; raises `InvalidError` naming what is wrong."""
        try:
            self._outward.check(url) if channel == "webhook" else self._chats.check(channel, url)
        except AddressForbiddenError as error:
            raise InvalidError(f"The URL {error.reason}.", field="url") from None
        return {"url_sealed": self._sealer.seal(url, name=f"{endpoint_id} url"), "shown": shown(channel, url)}


async def list_endpoints(session: AsyncSession, account_id: UUID) -> list[Endpoint]:
    return await endpoints.list_endpoints(session, account_id)


async def find_sealed(session: AsyncSession, endpoint_id: UUID) -> SealedEndpoint | None:
    """What a delivery needs of its endpoint; None when it was removed."""
    return await endpoints.find_sealed(session, endpoint_id)


def shown(channel: Channel, url: str) -> str:
    """An endpoint's URL without its query, which may hold a token; of a chat's URL, which is one, only the host."""
    parts = urlsplit(url)
    return (
        f"{parts.scheme}://{parts.netloc}{parts.path}" if channel == "webhook" else f"{parts.scheme}://{parts.netloc}"
    )


def _kinds(kinds: Sequence[str] | None) -> list[str] | None:
    if kinds is None:
        return None
    if unknown := sorted(set(kinds) - KNOWN_KINDS):
        raise InvalidError(f"There is no kind {unknown[0]!r}.", field="kinds")
    return sorted(set(kinds))
