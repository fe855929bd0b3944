"""What a verified credential allows, and how long it is remembered."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from kit.errors import ForbiddenError
from kit.identity import Revocations
from kit.tokens import Caller

Network = IPv4Network | IPv6Network

_NEVER: Final = float("-inf")
_NOT_CHECKED: Final = -1


class ScopeError(ForbiddenError):
    code = "outside_scope"


class NetworkError(ForbiddenError):
    code = "network_not_allowed"


@dataclass(frozen=True, slots=True)
class Scopes:
    """A key's bounds: models and routes. None of a kind means all of that kind."""

    models: frozenset[str] | None = None
    routes: tuple[str, ...] | None = None

    @classmethod
    def parsed(cls, scopes: Iterable[str]) -> Self:
        """A scope of a kind that this gateway does not know bounds a key more than it can tell: nothing is allowed."""
        models, routes, strange = set(), [], False
        for scope in scopes:
            kind, _, name = scope.partition(":")
            if kind == "model":
                models.add(name)
            elif kind == "route":
                routes.append(name)
            else:
                strange = True
        if strange:
            return cls(frozenset(), ())
        return cls(frozenset(models) if models else None, tuple(routes) if routes else None)

    def allow_route(self, path: str) -> bool:
        """A route stands for itself and what is below it."""
        return self.routes is None or any(path == one or path.startswith(f"{one}/") for one in self.routes)

    def allow_model(self, *names: str) -> bool:
        """Whether one of the names that a model goes by in this call is in the scope."""
        return self.models is None or not self.models.isdisjoint(names)


_EVERYTHING: Final = Scopes()


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified caller and the access token that speaks for them."""

    caller: Caller
    access_token: str = field(repr=False)
    scopes: Scopes = _EVERYTHING
    networks: tuple[Network, ...] | None = None

    @classmethod
    def of(cls, caller: Caller, access_token: str, *, networks: Iterable[str] = ()) -> Self:
        scopes = Scopes.parsed(caller.scopes) if caller.scopes else _EVERYTHING
        return cls(caller, access_token, scopes, _networks(tuple(networks)))

    def allows(self, route: str, *models: str) -> bool:
        """`models`: every name of the model that is asked for, as the client said it and as it is sold."""
        return self.scopes.allow_route(route) and (not models or self.scopes.allow_model(*models))

    def check(self, route: str, *models: str) -> None:
        """Raises `ScopeError`, which says what is not allowed."""
        if self.scopes is _EVERYTHING:
            return
        if not self.scopes.allow_route(route):
            raise ScopeError("This API key may not be used for this route.")
        if models and not self.scopes.allow_model(*models):
            raise ScopeError("This API key may not be used for this model.")

    def check_address(self, peer: str) -> None:
        """Raises `NetworkError` when the key is bound to networks and the client calls from none of them."""
        if self.networks is None:
            return
        try:
            address = ip_address(peer)
        except ValueError:
            raise NetworkError("This API key may not be used from an unknown address.") from None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not any(address in network for network in self.networks):
            raise NetworkError("This API key may not be used from this network.")


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...] | None:
    if not texts:
        return None
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue  # what cannot be read allows nobody
    return tuple(found)


class Known:
    """A credential that was verified here; times are the clock's `monotonic`."""

    __slots__ = ("_as_issued", "_generation", "credential", "from_key", "renew_s", "until_s", "used_s", "vouched_s")

    def __init__(
        self,
        credential: Credential,
        *,
        until_s: float,
        from_key: bool,
        renew_s: float = float("inf"),
        vouched_s: float = _NEVER,
    ) -> None:
        self.credential = credential
        self.until_s = until_s
        self.from_key = from_key
        self.renew_s = renew_s
        """From when on a use should have it resolved anew."""
        self.vouched_s = vouched_s
        """When auth itself last said that it was good."""
        self.used_s = _NEVER
        self._as_issued = credential
        self._generation = _NOT_CHECKED

    def checked(self, revocations: Revocations) -> Credential:
        """The credential as of today; raises `RevokedError`."""
        if self._generation != revocations.generation:
            generation = revocations.generation
            caller = revocations.check(self._as_issued.caller)
            self.credential = replace(self._as_issued, caller=caller)
            self._generation = generation
        return self.credential
