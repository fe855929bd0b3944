"""One unit of work: what a request may read, change and announce before it is committed or undone."""

import secrets
import string
from dataclasses import dataclass
from typing import Any

from kit.clock import Clock
from sandbox.stripe import API_VERSION
from sandbox.stripe.deliveries import Deliveries
from sandbox.stripe.errors import MissingError, ReferenceMissingError
from sandbox.stripe.store import Json, Store
from sandbox.stripe.switches import Switches

ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def visible(body: Json) -> Json:
    """The object as the API shows it: fields that begin with an underscore are our own notes."""
    return {name: value for name, value in body.items() if not name.startswith("_")}


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that an event came out of; controls and the pay page have none."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Work:
    """Objects are plain JSON; what `insert` and `save` were given is what is read back."""

    def __init__(self, store: Store, *, clock: Clock, base_url: str = "", origin: Origin | None = None) -> None:
        self.store = store
        self.deliveries = Deliveries(store.connection)
        self.switches = Switches(store)
        self.base_url = base_url
        self.announced_at = int(clock.now().timestamp()) + self.switches.ahead_s
        self.now = self.announced_at
        self._origin = origin or Origin()

    def insert(self, body: Json) -> Json:
        self.store.insert(body)
        return body

    def find(self, kind: str, ident: str) -> Json | None:
        """An object; from the first one on that lives by a test clock, it is that clock's time in this work."""
        body = self.store.find(kind, ident)
        if body and body.get("test_clock"):
            clock = self.store.find("test_helpers.test_clock", body["test_clock"])
            self.now = clock["_passed_to"] if clock else self.now
        return body

    def get(self, kind: str, ident: str, *, param: str = "id") -> Json:
        """The object a path names; 404 without it."""
        body = self.find(kind, ident)
        if body is None:
            raise MissingError(kind, ident, param=param)
        return body

    def referenced(self, kind: str, ident: str, *, param: str) -> Json:
        """The object a parameter names; 400 without it."""
        body = self.find(kind, ident)
        if body is None:
            raise ReferenceMissingError(kind, ident, param=param)
        return body

    def list_all(self, kind: str, **where: Any) -> list[Json]:
        return self.store.select_all(kind, **where)

    def change(self, body: Json, event_type: str | None, **changes: Any) -> Json:
        """Save the changed fields and announce them with what they were before."""
        before = {name: body.get(name) for name, value in changes.items() if body.get(name) != value}
        body.update(changes)
        self.store.save(body)
        if event_type and before:
            self.emit(event_type, body, before=visible(before))
        return body

    def emit(self, event_type: str, body: Json, *, before: Json | None = None) -> Json:
        """Record the event and put it on its way to the webhook address, if there is one."""
        data: Json = {"object": visible(body)}
        if before:
            data["previous_attributes"] = before
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.announced_at,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self._origin.request_id, "idempotency_key": self._origin.idempotency_key},
            "type": event_type,
            "_delivered": self.switches.webhook_url is None,
        }
        self.insert(event)
        self.send(event)
        return event

    def send(self, event: Json) -> None:
        """Put an event on its way, as often as the switches say."""
        if self.switches.webhook_url is None:
            return
        for _ in range(1 + self.switches.duplicates):
            self.deliveries.insert(event)
