"""What routing hands to a call: where it may go, as which model, in which order."""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from contracts.terms import Terms

ProviderKind = Literal["anthropic", "openai"]
TargetOutcome = Literal["ok", "client_fault", "rate_limited", "overloaded", "failed"]

_VERSION_PREFIX: Final = "/v1"


class Address(NamedTuple):
    """Where to connect; the key of a pool of connections."""

    host: str
    port: int
    tls: bool


class Timeouts(NamedTuple):
    """`first_byte_s` from the request's last byte to the answer's head, `silence_s` between bytes of the body."""

    connect_s: float = 10.0
    first_byte_s: float = 330.0
    silence_s: float = 330.0


DEFAULT_TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, slots=True)
class Target:
    """One way to a provider: a route, one of its credentials, and the provider's own name for the model.

    `serves` is the priced model that answers here; it differs from the choice's only where a failover to another model
    is configured. `service_tier` is what the plan's route set asks of the provider, to be spliced into the body.
    """

    route: str
    provider: str
    kind: ProviderKind
    base_url: str
    credential_id: str
    secret: bytes = field(repr=False)
    model: str
    serves: str
    address: Address
    authority: bytes
    path_prefix: str = ""
    is_versioned: bool = True
    auth_header: tuple[bytes, bytes] = field(default=(b"x-api-key", b""), repr=False)
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    service_tier: str | None = None

    def path_of(self, upstream_path: str) -> str:
        """The path to ask for; an address that stands for `/v1` itself takes what comes after it."""
        if self.is_versioned:
            return self.path_prefix + upstream_path
        return self.path_prefix + upstream_path.removeprefix(_VERSION_PREFIX)


@dataclass(frozen=True, slots=True)
class Choice:
    """How a call is served: `model` is what it is admitted and priced as, `targets` stand in the order to try.

    `serving_models` are all models that could serve it; the worst case is the dearest of them. `spliced_model` is what
    the first target wants in the body, None when the client's bytes say so already; `spliced_for` asks for any target.
    `near`: what the plan says for those who are near their limit holds, whether or not it named another model.
    """

    asked: str
    model: str
    spliced_model: str | None
    targets: tuple[Target, ...]
    serving_models: tuple[str, ...]
    alias: str | None = None
    near: bool = False

    def spliced_for(self, target: Target) -> str | None:
        return None if target.model == self.asked else target.model


class PlanTerms(Protocol):
    """What routing reads of an account's terms (admission's `AccountTerms`)."""

    @property
    def models(self) -> frozenset[str] | None: ...

    @property
    def terms(self) -> Terms: ...
