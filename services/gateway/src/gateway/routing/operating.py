"""What operators change: checked as a whole, published with an expected version, in force when it comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from contracts.event import Event
from contracts.gateway import RoutingChanged
from gateway.routing.config import EntryKind, ModelSpec, Spec
from gateway.routing.errors import UnknownEntryError, VersionMismatchError
from gateway.routing.routing import Routing
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError
from kit.ids import fact_id
from kit.producer import ProducerError

log = logging.get(__name__)

PublishEvent = Callable[[Event], Awaitable[None]]

_MOST_WAIT_S: Final = 5.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what, and why; without `expected_version` it is whatever stands now."""

    kind: EntryKind
    name: str
    changed_by: UUID
    reason: str
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as it is in force; `version` is that of its last change over the API, 0 when there was none."""

    kind: EntryKind
    name: str
    version: int
    spec: Spec
    override: RoutingChanged | None


class RoutingOperations:
    """The use cases of the operator API."""

    def __init__(self, routing: Routing, *, publish: PublishEvent, clock: Clock, wait_s: float = _MOST_WAIT_S) -> None:
        self._routing = routing
        self._publish = publish
        self._clock = clock
        self._wait_s = wait_s

    def list_entries(self, kind: EntryKind) -> list[EntryView]:
        self._routing.refresh()
        named = dict.fromkeys(self._routing.config.section(kind))
        if kind == "model":
            named |= dict.fromkeys(self._routing.models_sold())
        return [self.get_entry(kind, name) for name in named]

    def get_entry(self, kind: EntryKind, name: str) -> EntryView:
        """Raises `UnknownEntryError`."""
        self._routing.refresh()
        spec = self._routing.config.section(kind).get(name)
        if spec is None and kind == "model" and name in self._routing.models_sold():
            spec = ModelSpec()
        if spec is None:
            raise UnknownEntryError(f"There is no {kind} called {name}.")
        override = self._routing.overrides.find(kind, name)
        says_anything = override is not None and (override.spec is not None or override.enabled is not None)
        version = self._routing.overrides.version(kind, name)
        return EntryView(kind, name, version, spec, override if says_anything else None)

    async def put(self, change: Change, spec: Mapping[str, Any]) -> EntryView:
        """Write the whole entry; one that is disabled stays so unless the spec says otherwise."""
        known = self._routing.overrides.find(change.kind, change.name)
        enabled = known.enabled if known is not None and "enabled" not in spec else None
        return await self._change(change, spec=dict(spec), enabled=enabled)

    async def patch(self, change: Change, changes: Mapping[str, Any]) -> EntryView:
        """Replace some settings of an entry; None takes one away, so that its default holds."""
        view = self.get_entry(change.kind, change.name)
        spec = {**self._raw(view), **changes}
        return await self.put(change, {key: value for key, value in spec.items() if value is not None})

    async def switch(self, change: Change, *, enabled: bool) -> EntryView:
        """Enable or disable an entry, wherever it comes from."""
        view = self.get_entry(change.kind, change.name)
        spec = view.override.spec if view.override is not None else None
        return await self._change(change, spec=spec, enabled=enabled)

    async def delete(self, change: Change) -> None:
        """Take the change back: what the file says holds again."""
        known = self._routing.overrides.find(change.kind, change.name)
        if known is None or (known.spec is None and known.enabled is None):
            raise UnknownEntryError(f"Nothing overrides the {change.kind} {change.name}.")
        await self._publish_checked(self._event(change, spec=None, enabled=None))

    async def _change(self, change: Change, *, spec: dict[str, Any] | None, enabled: bool | None) -> EntryView:
        await self._publish_checked(self._event(change, spec=spec, enabled=enabled))
        return self.get_entry(change.kind, change.name)

    def _event(self, change: Change, *, spec: dict[str, Any] | None, enabled: bool | None) -> RoutingChanged:
        found, now = self._routing.overrides.version(change.kind, change.name), self._clock.now()
        if change.expected_version is not None and change.expected_version != found:
            raise VersionMismatchError(change.expected_version, found)
        return RoutingChanged(
            id=fact_id("routing-changed", change.kind, change.name, found + 1, change.changed_by, now),
            time=now,
            kind=change.kind,
            name=change.name,
            version=found + 1,
            enabled=enabled,
            spec=spec,
            changed_by=change.changed_by,
            reason=change.reason,
        )

    async def _publish_checked(self, event: RoutingChanged) -> None:
        self._routing.check(event)
        await self._send(event)
        standing = await self._standing(event)
        if standing.id == event.id:
            log.info(
                "gateway.routing_changed",
                kind=event.kind,
                name=event.name,
                version=event.version,
                changed_by=str(event.changed_by),
            )
            return
        # Compaction keeps the last record of a key, which would be ours; what stands has to be last again.
        again = {"id": fact_id("routing-restated", standing.id), "version": standing.version + 1}
        if standing.version == event.version:
            await self._send(standing.model_copy(update=again))
        raise VersionMismatchError(event.version - 1, standing.version)

    async def _standing(self, event: RoutingChanged) -> RoutingChanged:
        """What came back from the topic at this version or a later one: ours, unless another gateway was faster."""
        waited_s = 0.0
        while waited_s < self._wait_s:
            found = self._routing.overrides.find(event.kind, event.name)
            if found is not None and found.version >= event.version:
                self._routing.refresh()
                return found
            await asyncio.sleep(_LOOK_S)
            waited_s += _LOOK_S
        raise UnavailableError("The change was sent but has not come back yet; read the entry again.", retry_after_s=2)

    async def _send(self, event: RoutingChanged) -> None:
        try:
            await self._publish(event)
        except ProducerError:
            raise UnavailableError("The change cannot be published now; try again.", retry_after_s=2) from None

    def _raw(self, view: EntryView) -> dict[str, Any]:
        """The entry as it was written, without what only its defaults say."""
        if view.override is not None and view.override.spec is not None:
            return dict(view.override.spec)
        return view.spec.model_dump(mode="json", exclude_unset=True)
