"""Units of work for everything that is not an API request: controls, the pay page, the passing of time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kit.clock import Clock
from sandbox.stripe.store import Store
from sandbox.stripe.work import Work


class Workshop:
    """Opens units of work on the one store, each committed as a whole or not at all."""

    def __init__(self, store: Store, *, clock: Clock, changed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._changed = changed
        self.base_url = ""
        """Where pages and documents are reached; known once the server listens."""

    @contextmanager
    def opened(self) -> Iterator[Work]:
        """No await may stand inside: all units share one connection."""
        try:
            yield Work(self._store, clock=self._clock, base_url=self.base_url)
            self._store.commit()
        except BaseException:
            self._store.rollback()
            raise
        self._changed()
