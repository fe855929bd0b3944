"""What can go wrong, in its own words; no reason of a delivery ever holds an address or a link."""

from kit.errors import ConflictError, DomainError, ForbiddenError, InvalidError, NotFoundError


class DeliveryError(Exception):
    """A delivery did not go out. `reason` may be stored, logged and shown to operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryError(DeliveryError):
    """Trying again later may help."""


class PermanentError(DeliveryError):
    """The same mail would be refused again."""


class AddressRefusedError(PermanentError):
    """The mail server says that there is no such address: it is not tried again for some time."""


class AddressForbiddenError(TemporaryError):
    """A customer's address may not be reached: it is no URL, or leads where only we may go."""


class EndpointGoneError(PermanentError):
    """The endpoint itself says that it wants no more."""


class NothingToSendError(DeliveryError):
    """There is nobody to mail, or nothing any more to say."""


class UnknownKindError(NotFoundError):
    code = "unknown_kind"


class KindForbiddenError(ForbiddenError):
    code = "kind_not_visible"


class KindRequiredError(InvalidError):
    code = "kind_required"


class UnknownLinkError(InvalidError):
    code = "unknown_link"


class UnknownNoticeError(NotFoundError):
    code = "unknown_notice"


class UnknownEndpointError(NotFoundError):
    code = "unknown_endpoint"


class TooManyEndpointsError(ConflictError):
    code = "too_many_endpoints"


class RoleError(ForbiddenError):
    code = "role_not_allowed"


class TooManyStreamsError(DomainError):
    """One person watches their feed in too many places at once."""

    kind = "too_many"
    code = "too_many_streams"


class TemplateBrokenError(RuntimeError):
    """A template of the operator's folder cannot be filled; the service does not start with it."""
