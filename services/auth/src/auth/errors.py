"""What auth refuses, in its own words; none of these says whether an address is known."""

from typing import ClassVar

from kit.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidError,
    Kind,
    NotFoundError,
    UnauthenticatedError,
)


class AddressError(InvalidError):
    code = "invalid_email"


class WeakPasswordError(InvalidError):
    code = "weak_password"


class WrongCredentialsError(UnauthenticatedError):
    code = "wrong_credentials"


class RefreshTokenError(UnauthenticatedError):
    code = "invalid_refresh_token"


class RefreshTokenReusedError(UnauthenticatedError):
    code = "refresh_token_reused"


class ServiceSecretError(UnauthenticatedError):
    code = "wrong_service_secret"


class TooManyAttemptsError(DomainError):
    kind: ClassVar[Kind] = "too_many"
    code = "too_many_attempts"


class SessionRequiredError(ForbiddenError):
    """An API key may not manage keys or sessions: a leaked one could make itself permanent."""

    code = "session_required"


class RoleError(ForbiddenError):
    code = "role_forbids"


class ServiceForbiddenError(ForbiddenError):
    code = "service_not_allowed"


class UnknownApiKeyError(NotFoundError):
    code = "unknown_api_key"


class UnknownProjectError(NotFoundError):
    code = "unknown_project"


class UnknownSessionError(NotFoundError):
    code = "unknown_session"


class UnknownMessageError(NotFoundError):
    code = "unknown_message"


class UnknownUserError(NotFoundError):
    code = "unknown_user"


class LinkUsedError(NotFoundError):
    code = "link_used_or_expired"


class KeyAlreadyWaitingError(ConflictError):
    code = "signing_key_already_waiting"
