"""Which routes and credentials may be tried: a breaker for each pair, a cool-down for each credential."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from contracts.gateway import ProviderStateChanged
from gateway.routing import metrics
from gateway.routing.types import Target, TargetOutcome
from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.ids import fact_id

log = logging.get(__name__)

State = Literal["serving", "cooling", "broken"]
Publish = Callable[[ProviderStateChanged], None]

_LEVELS: Final[dict[State, int]] = {"serving": 0, "cooling": 1, "broken": 2}
_COOLING_REASONS: Final[dict[TargetOutcome, str]] = {"rate_limited": "rate limited", "overloaded": "overloaded"}


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When to stop trying, and for how long."""

    most_consecutive: int = 5
    window_s: float = 30.0
    fewest_calls: int = 20
    failure_rate: float = 0.5
    first_open_s: float = 1.0
    most_open_s: float = 60.0
    first_cooling_s: float = 1.0
    most_cooling_s: float = 60.0
    most_retry_after_s: float = 600.0
    forgotten_after_s: float = 60.0
    probe_s: float = 10.0
    quiet_s: float = 60.0


@dataclass(slots=True, eq=False)
class CoolDown:
    """How long a credential is left alone after 429 or 529; shared by all routes that use it."""

    rules: HealthRules
    until: float | None = None
    growing: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self.growing = Backoff(first_s=self.rules.first_cooling_s, most_s=self.rules.most_cooling_s)

    def start(self, now: float, retry_after_s: float | None) -> None:
        """Calls that were on their way together count as one refusal: only what the provider names makes it longer."""
        if retry_after_s is not None:
            wait_s = min(max(retry_after_s, 0.0), self.rules.most_retry_after_s)
        elif self.until is not None and now < self.until:
            return
        else:
            if self.until is not None and now - self.until > self.rules.forgotten_after_s:
                self.growing.reset()
            wait_s = self.growing.next_s()
        self.until = max(self.until or now, now + wait_s)


@dataclass(slots=True, eq=False)
class Breaker:
    """Opens on failures in a row or on too large a share of them; then lets one call try at a time."""

    rules: HealthRules
    open_until: float | None = None
    probe_until: float = 0.0
    consecutive: int = 0
    succeeded: int = 0
    failed: int = 0
    window_began: float = 0.0
    backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = Backoff(first_s=2 * self.rules.first_open_s, most_s=self.rules.most_open_s)

    def fail(self, now: float) -> None:
        if self.open_until is not None:
            if now >= self.open_until:
                self._open(now)
            return
        if now - self.window_began > self.rules.window_s:
            self.window_began, self.succeeded, self.failed = now, 0, 0
        self.consecutive += 1
        self.failed += 1
        calls = self.failed + self.succeeded
        too_many = calls >= self.rules.fewest_calls and self.failed >= calls * self.rules.failure_rate
        if too_many or self.consecutive >= self.rules.most_consecutive:
            self._open(now)

    def close(self) -> None:
        self.open_until, self.probe_until = None, 0.0
        self.consecutive = self.succeeded = self.failed = 0
        self.backoff.reset()

    def _open(self, now: float) -> None:
        self.open_until, self.probe_until = now + self.backoff.next_s(), 0.0


class Watcher:
    """Something that has to look closer while one of its parts is not serving."""

    __slots__ = ("healths", "troubled")

    def __init__(self, healths: "tuple[Health, ...]") -> None:
        self.healths = healths
        self.reconsider()
        for health in healths:
            health.watchers.append(self)

    def reconsider(self) -> None:
        self.troubled = any(health.state != "serving" for health in self.healths)


@dataclass(slots=True, eq=False)
class Health:
    """One route's use of one credential."""

    provider: str
    route: str
    credential_id: str
    fingerprint: bytes
    breaker: Breaker
    cooling: CoolDown
    state: State = "serving"
    published: State = "serving"
    cooling_published_at: float | None = None
    watchers: list[Watcher] = field(default_factory=list)
    outcomes: dict[TargetOutcome, int] = field(default_factory=dict)

    def is_open_to(self, now: float) -> bool:
        """Whether a call may go here now; a breaker that is half open takes one at a time."""
        if self.cooling.until is not None and now < self.cooling.until:
            return False
        opened = self.breaker.open_until
        return opened is None or (now >= opened and now >= self.breaker.probe_until)

    def claim(self, now: float) -> None:
        """A call goes here first: while half open, it is the probe."""
        if self.breaker.open_until is not None:
            self.breaker.probe_until = now + self.breaker.rules.probe_s

    def opens_at(self) -> float:
        return max(self.cooling.until or 0.0, self.breaker.open_until or 0.0, self.breaker.probe_until)


class HealthBook:
    """Every route and credential that is configured, and what the calls said of them."""

    def __init__(self, *, clock: Clock, instance: str, publish: Publish, rules: HealthRules | None = None) -> None:
        self._clock = clock
        self._instance = instance
        self._publish = publish
        self._rules = rules or HealthRules()
        self._healths: dict[tuple[str, str], Health] = {}
        self._coolings: dict[tuple[str, str, bytes], CoolDown] = {}

    def of(self, target: Target, *, fingerprint: bytes) -> Health:
        """The pair's health; one whose address or secret was changed starts afresh."""
        key = (target.route, target.credential_id)
        known = self._healths.get(key)
        if known is not None and known.fingerprint == fingerprint and known.provider == target.provider:
            return known
        cooling = self._coolings.setdefault((target.provider, target.credential_id, fingerprint), CoolDown(self._rules))
        health = Health(target.provider, target.route, target.credential_id, fingerprint, Breaker(self._rules), cooling)
        if known is not None:
            health.published = known.published
        self._healths[key] = health
        return health

    def retain(self, kept: Iterable[Health]) -> None:
        """Forget what is configured no longer."""
        wanted = set(map(id, kept))
        for key, health in list(self._healths.items()):
            if id(health) not in wanted:
                del self._healths[key]
        coolings = {id(health.cooling) for health in self._healths.values()}
        self._coolings = {key: one for key, one in self._coolings.items() if id(one) in coolings}
        for health in self._healths.values():
            self._settle(health, reason=None)

    def all(self) -> list[Health]:
        return list(self._healths.values())

    def report(self, target: Target, outcome: TargetOutcome, retry_after_s: float | None) -> None:
        health = self._healths.get((target.route, target.credential_id))
        if health is None:
            return
        health.outcomes[outcome] = health.outcomes.get(outcome, 0) + 1
        if outcome == "ok" or outcome == "client_fault":  # noqa: PLR1714  # on every call: no tuple or set
            if health.state == "serving":
                health.breaker.succeeded += 1
                health.breaker.consecutive = 0
            else:
                self._recovered(health)
            return
        now = self._clock.monotonic()
        if outcome == "failed":
            health.breaker.fail(now)
            self._settle(health, reason="failing")
            return
        health.cooling.start(now, retry_after_s)
        for other in self._healths.values():
            if other.cooling is health.cooling:
                self._settle(other, reason=_COOLING_REASONS[outcome], quietly=other is not health)

    def flush_metrics(self) -> None:
        """Counted in plain integers on the way, because a counter costs as much as a choice."""
        for health in self._healths.values():
            for outcome, count in health.outcomes.items():
                metrics.OUTCOMES.labels(health.route, health.credential_id, outcome).inc(count)
            health.outcomes.clear()
            metrics.STATE.labels(health.route, health.credential_id).set(_LEVELS[health.state])

    def _recovered(self, health: Health) -> None:
        """The provider answered. What began before the trouble and ends well meanwhile proves nothing."""
        now = self._clock.monotonic()
        if health.cooling.until is not None and now < health.cooling.until:
            return
        if health.breaker.open_until is not None and now < health.breaker.open_until:
            return
        health.breaker.close()
        cooled = health.cooling
        for other in self._healths.values():
            if other is health or (other.cooling is cooled and other.state == "cooling"):
                self._settle(other, reason=None, recovered=True)

    def _settle(self, health: Health, *, reason: str | None, quietly: bool = False, recovered: bool = False) -> None:
        """Let the state follow, tell those who choose, and publish a transition."""
        before = health.state
        if health.breaker.open_until is not None:
            health.state = "broken"
        elif health.cooling.until is not None and not recovered:
            cooling = self._clock.monotonic() < health.cooling.until
            health.state = "cooling" if cooling or before == "cooling" else "serving"
        else:
            health.state = "serving"
        if health.state != before:
            for watcher in health.watchers:
                watcher.reconsider()
            log.warning(
                "gateway.provider_state_changed",
                route=health.route,
                credential_id=health.credential_id,
                state=health.state,
                reason=reason,
            )
        if not quietly:
            self._say(health, reason=reason)

    def _say(self, health: Health, *, reason: str | None) -> None:
        """Publish the state unless it was; a credential that keeps cooling is told of once a minute."""
        if health.state == health.published:
            return
        now = self._clock.monotonic()
        if health.state == "cooling":
            told_at = health.cooling_published_at
            if told_at is not None and now - told_at < self._rules.quiet_s:
                return
            health.cooling_published_at = now
        health.published = health.state
        self._publish(self._event(health, reason=reason, now=now))

    def _event(self, health: Health, *, reason: str | None, now: float) -> ProviderStateChanged:
        at = self._clock.now()
        opens_at = health.breaker.open_until if health.state == "broken" else health.cooling.until
        until = at + timedelta(seconds=max(0.0, opens_at - now)) if opens_at and health.state != "serving" else None
        return ProviderStateChanged(
            id=fact_id("provider-state", self._instance, health.route, health.credential_id, health.state, at),
            time=at,
            gateway_instance=self._instance,
            provider=health.provider,
            route=health.route,
            credential_id=health.credential_id,
            state=health.state,
            reason=reason,
            until=until,
        )
