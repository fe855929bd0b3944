"""A routing with hand-made prices, a clock that stands still, and a memory of what it published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.gateway import ProviderStateChanged
from contracts.terms import Terms
from gateway.routing.health import HealthRules
from gateway.routing.routing import Routing
from gateway.routing.types import Choice, ProviderKind
from kit.clock import ManualClock
from kit.errors import UnavailableError
from rating import PriceBook, parse_book

SESSION = b"\x00\x00\x00\x07"
SECRETS = {"FAREGATE_ONE_API_KEY": "secret-one", "FAREGATE_TWO_API_KEY": "secret-two", "FAREGATE_OPEN_API_KEY": "open"}
CONFIG = """
secret_references = ["env:FAREGATE_*_API_KEY"]

[providers.first]
kind = "anthropic"
address = "http://first.test:8000"
credentials = [
  { id = "one", secret = "env:FAREGATE_ONE_API_KEY" },
  { id = "two", secret = "env:FAREGATE_TWO_API_KEY" },
]

[providers.second]
kind = "anthropic"
address = "https://second.test/base"
auth = "bearer"
credentials = [{ id = "main", secret = "env:FAREGATE_ONE_API_KEY" }]

[providers.open]
kind = "openai"
address = "http://open.test/v1beta/openai"
versioned = false
credentials = [{ id = "main", secret = "env:FAREGATE_OPEN_API_KEY" }]

[routes.first]
provider = "first"
models = ["dear", "cheap"]

[routes.second]
provider = "second"
models = ["dear"]
order = 2
names = { dear = "vendor/dear" }

[routes.open]
provider = "open"
models = ["open-*", "cheap"]

[models.dear]
display_name = "Dear"
created_at = 2026-10-01T00:00:00Z

[aliases.best]
model = "dear"
"""
BOOK = """
effective_at = 2026-01-01T00:00:00Z
currency = "USD"
markup_percent = "15"
batch = "0.5"
[server_tools]
web_search = "10"
web_fetch = "0"
"""


def priced(name: str, dollars: str, *, also: tuple[str, ...] = ()) -> str:
    row = ", ".join(
        f'{kind} = "{dollars}"' for kind in ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    )
    return (
        f"[models.{name}]\nalso = {list(also)!r}\ncontext_window_tokens = 1000\nmax_output_tokens = 100\n"
        f"prices = [{{ {row} }}]\n"
    )


def book_of(*models: str, version: int = 1, effective_at: str = "2026-01-01T00:00:00Z") -> PriceBook:
    text = BOOK.replace("2026-01-01T00:00:00Z", effective_at) + "".join(models)
    return parse_book(text, version=version)


STOCK = (priced("dear", "10", also=("dear-20261001",)), priced("cheap", "1"), priced("open-small", "1"))


@dataclass
class Books:
    """Price books as the ledger published them."""

    books: list[PriceBook]

    def in_force(self, at: datetime) -> PriceBook:
        found = [book for book in self.books if book.effective_at <= at]
        if not found:
            raise UnavailableError("none")
        return max(found, key=lambda book: book.effective_at)


@dataclass(frozen=True)
class Plan:
    """What routing reads of an account's terms."""

    models: frozenset[str] | None = None
    terms: Terms = field(default_factory=Terms)


def plan(*models: str, **terms: Any) -> Plan:
    return Plan(frozenset(models) or None, Terms(**terms))


@dataclass
class World:
    """One gateway's routing and its surroundings."""

    routing: Routing
    clock: ManualClock
    books: Books
    path: Path
    published: list[ProviderStateChanged]

    def choose(self, model: str = "dear", *, kind: ProviderKind = "anthropic", **more: Any) -> Choice:
        terms, conversation = more.pop("terms", Plan()), more.pop("conversation", SESSION)
        return self.routing.choose(model, kind=kind, terms=terms, conversation=conversation, **more)

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")


def world_at(
    folder: Path,
    config: str = CONFIG,
    *,
    env: Mapping[str, str] | None = None,
    rules: HealthRules | None = None,
    books: list[PriceBook] | None = None,
) -> World:
    path = folder / "routing.toml"
    path.write_text(config, encoding="utf-8")
    clock = ManualClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
    published: list[ProviderStateChanged] = []
    stock = Books([book_of(*STOCK)] if books is None else books)
    routing = Routing(
        books=stock,  # type: ignore[arg-type]  # as far as routing asks
        clock=clock,
        env=SECRETS if env is None else env,
        instance="gateway-a",
        path=path,
        publish=published.append,
        rules=rules,
    )
    routing.load()
    return World(routing, clock, stock, path, published)
