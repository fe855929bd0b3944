"""Choosing where a call goes, and learning from how it went."""

import asyncio
import contextlib
import itertools
import math
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from contracts.gateway import ProviderStateChanged, RoutingChanged
from contracts.terms import NearLimit
from gateway.catalog.prices import PriceBooks
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.routing import metrics
from gateway.routing.config import RoutingConfig
from gateway.routing.conversation import slot_of
from gateway.routing.errors import Problem, RoutingConfigError
from gateway.routing.health import Health, HealthBook, HealthRules, Publish
from gateway.routing.listing import listed_model
from gateway.routing.overrides import Overrides, merged, merged_as_far_as_possible
from gateway.routing.secrets import Secrets
from gateway.routing.source import ConfigFile
from gateway.routing.table import SLOTS, Compiler, Entry, Off, Table
from gateway.routing.types import Choice, PlanTerms, ProviderKind, Target, TargetOutcome
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError
from rating import PriceBook

log = logging.get(__name__)

_TICK_S: Final = 0.5
_KINDS: Final[tuple[ProviderKind, ...]] = ("anthropic", "openai")


def _unsaid(_event: ProviderStateChanged) -> None:
    pass


class Routing:
    """One process's view of providers, models and routes.

    `choose` and `report` are on the way of every call: they read a table that is swapped whole, never changed.
    """

    def __init__(
        self,
        *,
        books: PriceBooks,
        clock: Clock,
        env: Mapping[str, str],
        instance: str,
        path: Path | None = None,
        publish: Publish = _unsaid,
        rules: HealthRules | None = None,
    ) -> None:
        self.overrides = Overrides()
        self.problems: tuple[Problem, ...] = ()
        self._books = books
        self._clock = clock
        self._file = ConfigFile(path)
        self._tables: dict[str, Any] = {}
        self._config = RoutingConfig()
        self._healths = HealthBook(clock=clock, instance=instance, publish=publish, rules=rules)
        self._compiler = Compiler(Secrets(env), self._healths)
        self._table = Table({}, book=None, off=())
        self._is_stale = False
        self._turns = itertools.count()  # calls of no conversation are spread evenly

    # -- a call -------------------------------------------------------------------------------------------------------

    def choose(
        self, model: str, *, kind: ProviderKind, terms: PlanTerms, conversation: bytes, near: bool = False
    ) -> Choice:
        """Where a call for `model` goes; raises `ModelApiError` when the plan or the prices do not sell it here.

        `near`: little of the allowance is left, so the plan's cheaper alias takes the model's place, if it names one.
        """
        table, plan, models = self._table, terms.terms, terms.models
        names = table.names.get((plan.route_set, kind))
        if names is None:
            raise self._unknown_route_set()
        entry = self._by_plan(model, kind=kind, terms=terms) if plan.aliases else names.get(model)
        if entry is None or not (models is None or entry.model in models or model in models):
            raise self._not_sold(model)
        if near and plan.near_limit is not None:
            entry = self._near_limit(entry, plan.near_limit, kind=kind, terms=terms)
        slot = slot_of(conversation) if conversation else next(self._turns) % SLOTS
        choice = self._choice_in_trouble(entry, slot) if entry.troubled else entry.slots.get(slot) or entry.choice(slot)
        if models is not None and len(choice.serving_models) > 1:
            return _within(choice, models)
        return choice

    def report(self, target: Target, outcome: TargetOutcome, retry_after_s: float | None = None) -> None:
        """How a try at a target ended; `retry_after_s` is what the provider asked for with 429 or 529."""
        self._healths.report(target, outcome, retry_after_s)

    def _by_plan(self, model: str, *, kind: ProviderKind, terms: PlanTerms) -> Entry | None:
        """What the plan makes of a name; what it does not speak of stays what it is."""
        route_set = terms.terms.route_set
        for own in terms.terms.aliases:
            if own.alias == model:
                return self._table.aliased(model, own.model, route_set=route_set, kind=kind)
        return self._table.find(model, route_set=route_set, kind=kind)

    def _near_limit(self, entry: Entry, near: NearLimit, *, kind: ProviderKind, terms: PlanTerms) -> Entry:
        """The plan's alias for those who are near their limit, where it is allowed, served here, and cheaper."""
        if near.alias is None:
            return entry.near_limit()
        model = next((own.model for own in terms.terms.aliases if own.alias == near.alias), near.alias)
        other = self._table.aliased(near.alias, model, route_set=terms.terms.route_set, kind=kind, near=True)
        if other is None or other.price_rank >= entry.price_rank:
            return entry.near_limit()
        models = terms.models
        return other if models is None or other.model in models or near.alias in models else entry.near_limit()

    def _choice_in_trouble(self, entry: Entry, slot: int) -> Choice:
        now = self._clock.monotonic()
        choice = entry.choice_now(slot, now=now)
        if choice is None:
            wait_s = min(health.opens_at() for health in entry.healths) - now
            raise overloaded("The provider cannot take calls right now; try again.", retry_after_s=_retry_s(wait_s))
        return choice

    def _not_sold(self, model: str) -> ModelApiError:
        if self._table.book is None:
            return unavailable("No price book is in force yet; try again.", retry_after_s=2)
        return ModelApiError(404, f"model: {model}")

    def _unknown_route_set(self) -> ModelApiError:
        if self._table.book is not None:
            metrics.UNKNOWN_ROUTE_SETS.inc()
            return unavailable("The routes of your plan are not set up; try again later.", retry_after_s=30)
        return unavailable("The routes are not read yet; try again.", retry_after_s=2)

    # -- what is sold -------------------------------------------------------------------------------------------------

    def models(self, kind: ProviderKind | None, terms: PlanTerms) -> list[dict[str, Any]]:
        """What the plan may use and what has a price and a route, newest first, aliases last; None is either kind."""
        found: dict[str, dict[str, Any]] = {}
        for name, entry in self._sold(kind, terms):
            if entry.alias is not None or name == entry.model:
                found.setdefault(name, self._listed(name, entry))
        return sorted(found.values(), key=lambda one: (one["id"] in self._aliases(terms), -one["created"], one["id"]))

    def model(self, name: str, kind: ProviderKind | None, terms: PlanTerms) -> dict[str, Any]:
        """One of them, by any of its names; raises `ModelApiError` with 404."""
        for other, entry in self._sold(kind, terms):
            if other == name:
                return self._listed(name, entry)
        raise self._not_sold(name)

    def _sold(self, kind: ProviderKind | None, terms: PlanTerms) -> Iterator[tuple[str, Entry]]:
        plan, models = terms.terms, terms.models
        for one in _KINDS if kind is None else (kind,):
            names = dict(self._table.names.get((plan.route_set, one), {}))
            for own in plan.aliases:
                entry = self._table.aliased(own.alias, own.model, route_set=plan.route_set, kind=one)
                if entry is not None:
                    names[own.alias] = entry
            for name, entry in names.items():
                if models is None or entry.model in models or name in models:
                    yield name, entry

    def _aliases(self, terms: PlanTerms) -> set[str]:
        return {*self._config.aliases, *(own.alias for own in terms.terms.aliases)}

    def _listed(self, name: str, entry: Entry) -> dict[str, Any]:
        book = self._table.book
        assert book is not None
        spec = self._config.models.get(entry.model)
        return listed_model(name, entry, spec=spec, rates=book.rates[entry.model], since=book.effective_at)

    # -- configuration ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the file at start; raises `RoutingConfigError`: without a configuration nothing can be served."""
        self._tables = self._file.read()
        self._rebuild()
        for off in self._table.off:
            log.info("gateway.provider_off", provider=off.name, reason=off.reason)
        log.info("gateway.providers_on", providers=self.providers_on())

    def reload(self) -> bool:
        """Read the file again; a broken one changes nothing but `problems`, the log and the metric."""
        try:
            tables = self._file.read()
        except RoutingConfigError as error:
            self._complain(error.problems)
            return False
        self._tables = tables
        self._rebuild()
        log.info("gateway.routing_reloaded", providers=self.providers_on())
        return True

    def refresh(self) -> None:
        """Take in what has changed: operators' records, a price book that takes effect."""
        if self._is_stale or self._book() is not self._table.book:
            self._rebuild()

    def on_changed(self, event: RoutingChanged) -> None:
        """A record of the topic; taken in by the next `refresh`, so that reading a thousand builds one table."""
        self._is_stale |= self.overrides.apply(event)

    def check(self, event: RoutingChanged) -> RoutingConfig:
        """The whole configuration as it would be with this record; raises `RoutingConfigError`."""
        others = [one for one in self.overrides.effective() if (one.kind, one.name) != (event.kind, event.name)]
        says_anything = event.spec is not None or event.enabled is not None
        return merged(self._tables, [*others, event] if says_anything else others)

    async def run(self) -> None:
        """Watch file, books and time until cancelled; SIGHUP reads the file at once."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ValueError, RuntimeError):  # only the main thread gets signals
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            while True:
                await asyncio.sleep(_TICK_S)
                self.tick()
        finally:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(signal.SIGHUP)

    def tick(self) -> None:
        """What `run` does twice a second."""
        if self._file.has_changed():
            self.reload()
        self.refresh()
        self._healths.flush_metrics()

    async def ready(self) -> None:
        """Raise `RuntimeError` while nothing can be chosen."""
        self.refresh()
        if self._table.book is None:
            raise RuntimeError("no price book is in force, so nothing is for sale")

    def detail(self) -> str | None:
        """What is wrong with a configuration that is therefore not in use."""
        return "; ".join(map(str, self.problems)) or None

    # -- what operators see -------------------------------------------------------------------------------------------

    @property
    def config(self) -> RoutingConfig:
        """File and overrides, as they are in force."""
        return self._config

    @property
    def file_name(self) -> str:
        return self._file.name

    @property
    def book_version(self) -> int | None:
        return self._table.book.version if self._table.book is not None else None

    def file_entry(self, section: str, name: str) -> dict[str, Any] | None:
        """An entry as the file has it."""
        found: dict[str, Any] | None = self._tables.get(section, {}).get(name)
        return found

    def providers_on(self) -> list[str]:
        off = {one.name for one in self._table.off}
        return [
            name
            for name, spec in self._config.providers.items()
            if name not in off and any(f"{name}/{one.id}" not in off for one in spec.credentials)
        ]

    def providers_off(self) -> tuple[Off, ...]:
        return self._table.off

    def healths(self) -> list[Health]:
        return self._healths.all()

    def models_sold(self) -> list[str]:
        """What plans without a route set of their own can be served, by the price book's names."""
        found = {entry.model for kind in _KINDS for entry in self._table.names.get((None, kind), {}).values()}
        return sorted(found)

    def served_by(self, provider: str) -> list[str]:
        """The models that a provider serves to plans without a route set of their own."""
        found = set()
        for kind in _KINDS:
            for entry in self._table.names.get((None, kind), {}).values():
                found |= {one.target.serves for one in entry.candidates if one.target.provider == provider}
        return sorted(found)

    def _rebuild(self) -> None:
        self._is_stale = False
        self._config, problems = merged_as_far_as_possible(self._tables, self.overrides.effective())
        self._table = self._compiler.compile(self._config, self._book())
        if problems:
            self._complain(tuple(problems))
            return
        self.problems = ()
        metrics.CONFIG_PROBLEMS.set(0)
        metrics.CONFIG_LOADS.labels("ok").inc()

    def _complain(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        metrics.CONFIG_PROBLEMS.set(len(problems))
        metrics.CONFIG_LOADS.labels("broken").inc()
        log.error("gateway.routing_broken", file=self._file.name, problems=[str(one) for one in problems])

    def _book(self) -> PriceBook | None:
        try:
            return self._books.in_force(self._clock.now())
        except UnavailableError:
            return None


def _within(choice: Choice, models: frozenset[str]) -> Choice:
    """Without the failover to models that the plan does not allow."""
    barred = {model for model in choice.serving_models if model != choice.model and model not in models}
    if not barred:
        return choice
    return Choice(
        asked=choice.asked,
        model=choice.model,
        spliced_model=choice.spliced_model,
        targets=tuple(target for target in choice.targets if target.serves not in barred),
        serving_models=tuple(model for model in choice.serving_models if model not in barred),
        alias=choice.alias,
        near=choice.near,
    )


def _retry_s(wait_s: float) -> int:
    return max(1, min(60, math.ceil(wait_s)))
