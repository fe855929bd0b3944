"""Errors of the domain: what went wrong in its own words, without HTTP or Kafka."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

Kind = Literal[
    "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "rejected", "payment", "too_many", "unavailable"
]


class DomainError(Exception):
    """A rule of the domain says no. Subclasses set `code` (stable, for programs) and `kind`.

    `detail` names field and reason for people; `extra` holds more members of the answer. Neither holds secrets.
    """

    kind: ClassVar[Kind] = "rejected"
    code: ClassVar[str] = "rejected"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        retry_after_s: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})


class InvalidError(DomainError):
    kind = "invalid"
    code = "invalid_request"


class UnauthenticatedError(DomainError):
    kind = "unauthenticated"
    code = "unauthenticated"


class ForbiddenError(DomainError):
    kind = "forbidden"
    code = "forbidden"


class NotFoundError(DomainError):
    kind = "not_found"
    code = "not_found"


class ConflictError(DomainError):
    kind = "conflict"
    code = "conflict"


class UnavailableError(DomainError):
    """A part that is needed now does not answer; trying again later may help."""

    kind = "unavailable"
    code = "unavailable"


class MissingReferentError(Exception):
    """An event names something that is not here yet; the event is parked until `referent` appears (money.md 24)."""

    def __init__(self, referent: str) -> None:
        super().__init__(referent)
        self.referent = referent
