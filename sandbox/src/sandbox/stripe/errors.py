"""Refusals in Stripe's error envelope."""

from typing import Any


class StripeError(Exception):
    """A request that ends with Stripe's error envelope; the work it began is undone."""

    status = 400
    kind = "invalid_request_error"
    may_be_stored = True
    """Whether an idempotency key remembers this answer; only what an endpoint itself decided is remembered."""
    keeps_work = False
    """Whether what was done until then stays: a declined try leaves its charge behind."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def envelope(self) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message, "param": self.param, "type": self.kind}
        return {"error": {name: value for name, value in error.items() if value is not None}}


class CardError(StripeError):
    """A bank said no; the try and its intent stay, and the envelope shows them."""

    status = 402
    kind = "card_error"
    keeps_work = True

    def __init__(self, *, message: str, code: str, decline_code: str, **shown: Any) -> None:
        super().__init__(message, code=code)
        self.shown = {"decline_code": decline_code, **shown}

    def envelope(self) -> dict[str, Any]:
        return {"error": {**super().envelope()["error"], **self.shown}}


class ParameterError(StripeError):
    """The request itself is malformed; it never reached an endpoint."""

    may_be_stored = False


class MissingError(StripeError):
    """The object that the path names does not exist."""

    status = 404

    def __init__(self, what: str, ident: str, *, param: str = "id") -> None:
        super().__init__(f"No such {what}: '{ident}'", code="resource_missing", param=param)


class ReferenceMissingError(StripeError):
    """A parameter names an object that does not exist."""

    def __init__(self, what: str, ident: str, *, param: str) -> None:
        super().__init__(f"No such {what}: '{ident}'", code="resource_missing", param=param)


class KeyRefusedError(StripeError):
    """No API key, or one that is not ours."""

    status = 401
    may_be_stored = False


class IdempotencyError(StripeError):
    """An idempotency key came back with another request."""

    kind = "idempotency_error"
    may_be_stored = False


class NotDoneError(StripeError):
    """Stripe may do this; this stand-in does not, and will not guess what the answer would be."""

    status = 501
    kind = "api_error"
    may_be_stored = False

    def __init__(self, what: str, *, param: str | None = None) -> None:
        super().__init__(f"The sandbox's Stripe stand-in does not do {what}.", code="not_implemented", param=param)
