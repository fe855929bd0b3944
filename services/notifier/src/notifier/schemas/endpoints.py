"""An account's endpoints; a signing secret is in the answer that makes it, and in no other."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, SecretStr

from kit.http import RequestModel, ResponseModel
from kit.paging import Moment
from notifier.domain.delivering import Delivery, State
from notifier.domain.endpoints import Channel, Endpoint, EndpointState
from notifier.service.endpoints import Wanted


def _written(value: object) -> object:
    """Pydantic would take seconds since 1970, too."""
    if not isinstance(value, str):
        raise ValueError("should be an RFC 3339 time")  # noqa: TRY004  # pydantic catches ValueError only
    return value


WrittenMoment = Annotated[Moment, BeforeValidator(_written)]
Language = Literal["en", "de"]
Url = Annotated[SecretStr, Field(min_length=8, max_length=2_000)]
Description = Annotated[str, Field(max_length=200)]
Kinds = Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=50)]


class EndpointRequest(RequestModel):
    """Where to be told, and of which kinds; without kinds of all."""

    channel: Channel = "webhook"
    url: Url
    description: Description = ""
    kinds: Kinds | None = None
    language: Language = "en"

    def wanted(self) -> Wanted:
        return Wanted(
            channel=self.channel,
            url=self.url.get_secret_value(),
            description=self.description,
            kinds=tuple(self.kinds) if self.kinds is not None else None,
            language=self.language,
        )


class EndpointChange(RequestModel):
    """What is left out stays; `kinds` null is all."""

    url: Url | None = None
    description: Description | None = None
    kinds: Kinds | None = None
    language: Language | None = None
    state: EndpointState | None = None

    def changes(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if isinstance(given.get("url"), SecretStr):
            given["url"] = given["url"].get_secret_value()
        return {name: value for name, value in given.items() if value is not None or name == "kinds"}


class RotateRequest(RequestModel):
    """For how long requests carry a signature by the old secret as well."""

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=7 * 86_400)] = 86_400


class ReplayRequest(RequestModel):
    """What was queued for the endpoint in `[since, until)`; without `all` only what failed or was skipped."""

    since: WrittenMoment
    until: WrittenMoment | None = None
    all: Annotated[bool, Field(strict=True)] = False


class EndpointAnswer(ResponseModel):
    """`url` is without its query; of a chat's URL, which is a secret as a whole, only the host."""

    id: UUID
    channel: Channel
    url: str
    description: str
    kinds: list[str] | None
    language: str
    state: EndpointState
    failing_since: datetime | None
    disabled_reason: str | None
    old_secret_until: datetime | None
    created_at: datetime

    @classmethod
    def fields_of(cls, endpoint: Endpoint) -> dict[str, Any]:
        return {
            "id": endpoint.id,
            "channel": endpoint.channel,
            "url": endpoint.shown,
            "description": endpoint.description,
            "kinds": list(endpoint.kinds) if endpoint.kinds is not None else None,
            "language": endpoint.language,
            "state": endpoint.state,
            "failing_since": endpoint.failing_since,
            "disabled_reason": endpoint.disabled_reason,
            "old_secret_until": endpoint.old_secret_until,
            "created_at": endpoint.created_at,
        }

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointAnswer":
        return cls(**cls.fields_of(endpoint))


class NewSecretAnswer(EndpointAnswer):
    """`secret` is shown this once; chats have none."""

    secret: str | None

    @classmethod
    def with_secret(cls, endpoint: Endpoint, secret: str | None) -> "NewSecretAnswer":
        return cls(**cls.fields_of(endpoint), secret=secret)


class EndpointsAnswer(ResponseModel):
    """All endpoints of the account; there are few."""

    endpoints: list[EndpointAnswer]


class QueuedAnswer(ResponseModel):
    """How many deliveries go out now."""

    queued: int


class EndpointDelivery(ResponseModel):
    """One delivery to an endpoint; `message_id` is what its requests carry as `webhook-id`."""

    id: UUID
    message_id: str
    kind: str
    state: State
    attempts: int
    reason: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None

    @classmethod
    def of(cls, one: Delivery) -> "EndpointDelivery":
        return cls(
            id=one.id,
            message_id=f"msg_{one.id.hex}",
            kind=one.kind,
            state=one.state,
            attempts=one.attempts,
            reason=one.reason,
            created_at=one.created_at,
            next_attempt_at=one.next_attempt_at,
            settled_at=one.settled_at,
        )
