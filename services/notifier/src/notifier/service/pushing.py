"""One attempt at an endpoint: signed for webhooks, in words for chats. No database here."""

from collections.abc import Sequence

import orjson

from kit.clock import Clock
from notifier.adapters.chat import Chats
from notifier.adapters.outward import Outward
from notifier.adapters.rendering import Renderer
from notifier.adapters.sealing import Sealer
from notifier.adapters.signing import signed_headers
from notifier.domain.delivering import Claimed, Outcome, State
from notifier.domain.endpoints import SealedEndpoint
from notifier.errors import NothingToSendError


class Pusher:
    """Attempts deliveries to endpoints; raises a `DeliveryError` with the reason, or it went out."""

    def __init__(self, *, outward: Outward, chats: Chats, sealer: Sealer, renderer: Renderer, clock: Clock) -> None:
        self._outward = outward
        self._chats = chats
        self._sealer = sealer
        self._renderer = renderer
        self._clock = clock

    async def push(self, claimed: Claimed, endpoint: SealedEndpoint | None) -> Outcome:
        if endpoint is None:
            raise NothingToSendError("the endpoint was removed")
        if endpoint.state != "active":
            raise NothingToSendError("the endpoint is disabled")
        url = self._sealer.open(endpoint.url_sealed, name=f"{endpoint.id} url")
        if endpoint.channel == "webhook":
            await self._post(claimed, endpoint, url)
        else:
            said = self._renderer.brief(claimed.kind, claimed.payload, locale=endpoint.language)
            await self._chats.post(endpoint.channel, url, title=said.subject, text=said.text)
        return Outcome(state=State.SENT)

    async def _post(self, claimed: Claimed, endpoint: SealedEndpoint, url: str) -> None:
        """The same id at every attempt and replay: receivers tell repetitions by it."""
        content = orjson.dumps(
            {
                "type": claimed.kind,
                "timestamp": claimed.occurred_at,
                "data": {
                    "account_id": str(claimed.account_id),
                    "summary": self._renderer.subject(claimed.kind, claimed.payload, locale=endpoint.language),
                    **claimed.payload,
                },
            },
            option=orjson.OPT_UTC_Z,
        )
        headers = signed_headers(
            self._secrets(endpoint),
            message_id=f"msg_{claimed.id.hex}",
            content=content.decode(),
            now=self._clock.now(),
        )
        await self._outward.post(url, content=content, headers=headers)

    def _secrets(self, endpoint: SealedEndpoint) -> Sequence[str]:
        assert endpoint.secret_sealed is not None
        keys = [self._sealer.open(endpoint.secret_sealed, name=f"{endpoint.id} secret")]
        if endpoint.old_secret_sealed and endpoint.old_secret_until and endpoint.old_secret_until > self._clock.now():
            keys.append(self._sealer.open(endpoint.old_secret_sealed, name=f"{endpoint.id} old secret"))
        return keys
