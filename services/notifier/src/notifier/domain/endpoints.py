"""Where else an account is told, and for how long a silent endpoint is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

Channel = Literal["webhook", "slack", "discord", "teams"]
EndpointState = Literal["active", "disabled"]

MOST_ENDPOINTS: Final = 20
MAIL: Final = "mail"
ENDPOINT_TEST: Final = "endpoint-test"
ENDPOINT_DISABLED: Final = "endpoint-disabled"

_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
PUSH_DELAYS_S: Final = (
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    18 * _HOUR,
    22 * _HOUR,
)
"""Ten attempts within three days; jitter takes away up to a tenth."""
PUSH_GIVE_UP_S: Final = 3 * 86_400.0
DISABLE_AFTER: Final = timedelta(days=2)
"""An endpoint that took nothing for so long, and now has cost a delivery its last attempt, is disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPatience:
    """When an endpoint is tried again, and when no more."""

    delays_s: Sequence[float] = PUSH_DELAYS_S
    give_up_after_s: float = PUSH_GIVE_UP_S

    def delay_s(self, attempts: int, *, jitter: float) -> float:
        """Seconds until the next attempt; `jitter` between 0 and 1 takes away up to a tenth."""
        return self.delays_s[min(attempts, len(self.delays_s)) - 1] * (1 - jitter / 10)

    def ends(self, attempts: int, trying_since: datetime, *, next_attempt_at: datetime) -> bool:
        late = next_attempt_at > trying_since + timedelta(seconds=self.give_up_after_s)
        return attempts > len(self.delays_s) or late


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint as its account sees it; `shown` is its URL without what is secret."""

    id: UUID
    account_id: UUID
    channel: Channel
    description: str
    shown: str
    kinds: tuple[str, ...] | None
    language: str
    state: EndpointState
    failing_since: datetime | None
    disabled_reason: str | None
    old_secret_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEndpoint:
    """What a delivery needs of an endpoint."""

    id: UUID
    channel: Channel
    state: EndpointState
    language: str
    url_sealed: bytes
    secret_sealed: bytes | None
    old_secret_sealed: bytes | None
    old_secret_until: datetime | None
