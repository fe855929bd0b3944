"""The configuration compiled against a price book: every name that is sold, with its targets in order.

A table is never changed, only replaced; what a call needs of it are two look-ups.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from gateway.routing.config import ProviderSpec, RouteSetSpec, RouteSpec, RoutingConfig, checked_address
from gateway.routing.health import Health, HealthBook, Watcher
from gateway.routing.secrets import MissingError, Secrets
from gateway.routing.types import DEFAULT_TIMEOUTS, Address, Choice, ProviderKind, Target
from rating import PriceBook
from rating.rates import ModelRates

SLOTS: Final = 1024
_KINDS: Final[tuple[ProviderKind, ...]] = ("anthropic", "openai")
_MOST_OF_AN_ORDER: Final = 3
_EVERYWHERE: Final = RouteSetSpec()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target with its place: lower `order` first, `weight` shares within it."""

    target: Target
    order: tuple[int, int]
    weight: float
    salt: bytes
    health: Health


class Entry(Watcher):
    """One name as one kind of client may use it within one route set.

    The calls of a conversation fall into one of 1024 slots; a slot's order of targets is made once, by weighted
    rendezvous hashing, so that a credential that goes moves only the conversations that it had.
    """

    __slots__ = ("_near_limit", "alias", "asked", "candidates", "model", "near", "price_rank", "serving", "slots")

    def __init__(
        self,
        *,
        asked: str,
        model: str,
        alias: str | None,
        candidates: tuple[Candidate, ...],
        price_rank: int,
        near: bool = False,
    ) -> None:
        super().__init__(tuple(dict.fromkeys(candidate.health for candidate in candidates)))
        self.asked = asked
        self.model = model
        self.alias = alias
        self.candidates = candidates
        self.serving = tuple(dict.fromkeys((model, *(candidate.target.serves for candidate in candidates))))
        self.price_rank = price_rank
        self.near = near
        self._near_limit: Entry | None = None
        self.slots: dict[int, Choice] = {}

    def choice(self, slot: int) -> Choice:
        """The slot's choice while all is well."""
        known = self.slots.get(slot)
        if known is None:
            known = self.slots[slot] = self.among(slot, self.candidates)
        return known

    def choice_now(self, slot: int, *, now: float) -> Choice | None:
        """The slot's choice of what may be tried now; None when there is nothing."""
        choice = self.among(slot, [one for one in self.candidates if one.health.is_open_to(now)])
        if not choice.targets:
            return None
        first = choice.targets[0]
        next(one for one in self.candidates if one.target is first).health.claim(now)
        return choice

    def among(self, slot: int, candidates: Iterable[Candidate]) -> Choice:
        targets = tuple(_ordered(candidates, slot=slot))
        first = targets[0].model if targets else self.asked
        return Choice(
            asked=self.asked,
            model=self.model,
            spliced_model=None if first == self.asked else first,
            targets=targets,
            serving_models=self.serving,
            alias=self.alias,
            near=self.near,
        )

    def under(self, alias: str, *, near: bool = False) -> "Entry":
        """The same by another name."""
        return self._copy(asked=alias, alias=alias, near=near)

    def near_limit(self) -> "Entry":
        """The same for those who are near their limit; made once."""
        if self._near_limit is None:
            self._near_limit = self._copy(asked=self.asked, alias=self.alias, near=True)
        return self._near_limit

    def _copy(self, *, asked: str, alias: str | None, near: bool) -> "Entry":
        return Entry(
            asked=asked,
            model=self.model,
            alias=alias,
            candidates=self.candidates,
            price_rank=self.price_rank,
            near=near,
        )


Names = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Off:
    """A provider or credential that is configured but cannot be used, and why."""

    name: str
    reason: str


class Table:
    """All route sets; `None` is that of plans which name none."""

    def __init__(
        self, names: Mapping[tuple[str | None, ProviderKind], Names], *, book: PriceBook | None, off: tuple[Off, ...]
    ) -> None:
        self.names = names
        self.book = book
        self.off = off
        self._aliased: dict[tuple[str | None, ProviderKind, str, str, bool], Entry] = {}

    def find(self, name: str, *, route_set: str | None, kind: ProviderKind) -> Entry | None:
        return self.names[route_set, kind].get(name)

    def aliased(
        self, alias: str, model: str, *, route_set: str | None, kind: ProviderKind, near: bool = False
    ) -> Entry | None:
        """What a plan's own alias stands for; made once."""
        key = (route_set, kind, alias, model, near)
        known = self._aliased.get(key)
        if known is None:
            entry = self.find(model, route_set=route_set, kind=kind)
            if entry is None:
                return None
            known = self._aliased[key] = entry.under(alias, near=near)
        return known

    def healths(self) -> Iterator[Health]:
        for names in self.names.values():
            for entry in names.values():
                yield from entry.healths


class Compiler:
    """Makes tables; health is carried over from one to the next."""

    def __init__(self, secrets: Secrets, healths: HealthBook) -> None:
        self._secrets = secrets
        self._healths = healths

    def compile(self, config: RoutingConfig, book: PriceBook | None) -> Table:
        """Raises nothing: what lacks its secret is off, what lacks a price is not in the table."""
        for health in self._healths.all():
            health.watchers.clear()
        providers, off = self._providers(config)
        names: dict[tuple[str | None, ProviderKind], Names] = {}
        sets: dict[str | None, RouteSetSpec] = {None: _EVERYWHERE}
        sets.update((name, one) for name, one in config.route_sets.items() if one.enabled)
        for set_name, route_set in sets.items():
            for kind in _KINDS:
                routes = _Routes(config, providers, route_set=route_set, kind=kind, healths=self._healths)
                names[set_name, kind] = routes.names(book) if book is not None else {}
        table = Table(names, book=book, off=tuple(off))
        self._healths.retain(table.healths())
        return table

    def _providers(self, config: RoutingConfig) -> tuple[dict[str, "_Provider"], list[Off]]:
        found: dict[str, _Provider] = {}
        off: list[Off] = []
        for name, spec in config.providers.items():
            if not spec.enabled:
                off.append(Off(name, "is disabled"))
                continue
            try:
                base_url = checked_address(self._secrets.filled(spec.address))
            except (MissingError, ValueError) as error:
                off.append(Off(name, str(error)))
                continue
            secrets: dict[str, bytes] = {}
            for credential in spec.credentials:
                try:
                    secrets[credential.id] = self._secrets.find(credential.secret)
                except MissingError as error:
                    off.append(Off(f"{name}/{credential.id}", str(error)))
            if secrets:
                found[name] = _Provider(name, spec, base_url, secrets)
        return found, off


@dataclass(frozen=True, slots=True)
class _Provider:
    """A provider with its address filled in and those of its secrets that are there."""

    name: str
    spec: ProviderSpec
    base_url: str
    secrets: Mapping[str, bytes]

    def credentials(self, route_set: RouteSetSpec) -> list[str]:
        """Those that the set names for this provider; else those that are not reserved."""
        named = [one.partition("/")[2] for one in route_set.credentials if one.startswith(f"{self.name}/")]
        usual = [one.id for one in self.spec.credentials if not one.reserved]
        return [one for one in (named or usual) if one in self.secrets]

    def target(self, route_name: str, route: RouteSpec, *, credential_id: str) -> Target:
        """A target whose model is still open."""
        parts = urlsplit(self.base_url)
        tls = parts.scheme == "https"
        secret = self.secrets[credential_id]
        host = parts.hostname or ""
        return Target(
            route=route_name,
            provider=self.name,
            kind=self.spec.kind,
            base_url=self.base_url,
            credential_id=credential_id,
            secret=secret,
            model="",
            serves="",
            address=Address(host, parts.port or (443 if tls else 80), tls),
            authority=parts.netloc.encode(),
            path_prefix=parts.path.rstrip("/"),
            is_versioned=self.spec.versioned,
            auth_header=_auth_header(self.spec.auth_style, secret),
            timeouts=route.timeouts.over(self.spec.timeouts.over(DEFAULT_TIMEOUTS)),
        )


class _Routes:
    """The routes of one route set and kind, and what they serve of a price book."""

    def __init__(
        self,
        config: RoutingConfig,
        providers: Mapping[str, _Provider],
        *,
        route_set: RouteSetSpec,
        kind: ProviderKind,
        healths: HealthBook,
    ) -> None:
        self._config = config
        self._route_set = route_set
        self._ways = list(self._ways_of(providers, kind, healths))

    def _ways_of(
        self, providers: Mapping[str, _Provider], kind: ProviderKind, healths: HealthBook
    ) -> Iterator[tuple[RouteSpec, Candidate]]:
        """Each route with each of its credentials; they share the route's weight."""
        for name, route in self._config.routes.items():
            provider = providers.get(route.provider)
            if provider is None or provider.spec.kind != kind or not route.enabled:
                continue
            if self._route_set.routes and name not in self._route_set.routes:
                continue
            credentials = provider.credentials(self._route_set)
            for credential_id in credentials:
                target = replace(
                    provider.target(name, route, credential_id=credential_id),
                    service_tier=self._route_set.service_tier,
                )
                health = healths.of(target, fingerprint=_fingerprint(target))
                salt = f"{name}/{credential_id}".encode()
                yield route, Candidate(target, (0, route.order), route.weight / len(credentials), salt, health)

    def names(self, book: PriceBook) -> Names:
        found: Names = {}
        for asked, rates in book.rates.items():
            if entry := self._entry(asked, rates, book=book):
                found[asked] = entry
        for alias, spec in self._config.aliases.items():
            if spec.enabled and spec.model in found and alias not in found:
                found[alias] = found[spec.model].under(alias)
        return found

    def _entry(self, asked: str, rates: ModelRates, *, book: PriceBook) -> Entry | None:
        spec = self._config.models.get(rates.model)
        if spec is not None and not spec.enabled:
            return None
        candidates = list(self._candidates(asked, rates.model, rank=0))
        for rank, other in enumerate(spec.failover if spec else (), start=1):
            if other in book.rates and self._is_enabled(book.rates[other].model):
                candidates += self._candidates(other, book.rates[other].model, rank=rank)
        if not candidates:
            return None
        return Entry(
            asked=asked, model=rates.model, alias=None, candidates=tuple(candidates), price_rank=_price_rank(rates)
        )

    def _is_enabled(self, model: str) -> bool:
        spec = self._config.models.get(model)
        return spec is None or spec.enabled

    def _candidates(self, asked: str, model: str, *, rank: int) -> Iterator[Candidate]:
        for route, way in self._ways:
            if route.serves(model) or route.serves(asked):
                target = replace(way.target, model=route.upstream_name(asked, model=model), serves=model)
                yield replace(way, target=target, order=(rank, route.order))


def _ordered(candidates: Iterable[Candidate], *, slot: int) -> Iterator[Target]:
    """By order, and within one by weighted rendezvous; no order offers more than three."""
    by_order: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in candidates:
        by_order.setdefault(candidate.order, []).append(candidate)
    for order in sorted(by_order):
        ranked = sorted(by_order[order], key=lambda one: _score(one, slot=slot))
        yield from (one.target for one in ranked[:_MOST_OF_AN_ORDER])


def _score(candidate: Candidate, *, slot: int) -> float:
    """The lowest wins, as often as its weight says; without a weight, behind all others."""
    digest = hashlib.blake2b(candidate.salt, digest_size=8, salt=slot.to_bytes(16, "big")).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    if not candidate.weight:
        return 1e300 + uniform
    return -math.log(uniform) / candidate.weight


def _auth_header(style: str, secret: bytes) -> tuple[bytes, bytes]:
    return (b"x-api-key", secret) if style == "x-api-key" else (b"authorization", b"Bearer " + secret)


def _fingerprint(target: Target) -> bytes:
    return hashlib.sha256(b"\0".join((target.base_url.encode(), target.secret))).digest()


def _price_rank(rates: ModelRates) -> int:
    """What tells the cheaper of two models: the newest ordinary price of a token in and a token out."""
    periods = rates.periods.get("standard", ())
    tiers = [tier.rates for tier in periods[0].tiers] if periods else []
    return max((tier.input_nano + tier.output_nano for tier in tiers), default=0)
