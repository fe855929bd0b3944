"""What a route of the API is: its address, what it accepts and who answers it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sandbox.stripe.listing import list_page
from sandbox.stripe.parameters import EXPAND, PAGE, Fields, Kind
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

Params: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Work, str, Params], Json]
"""Takes the id in the path ('' where there is none) and the parameters as their kinds read them."""

IDENT = re.compile(r"[^/]{1,255}")


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the API; `{id}` in the path stands for an object's id."""

    method: str
    path: str
    handler: Handler
    fields: Fields = field(default_factory=lambda: Fields(EXPAND))

    def matched_id(self, method: str, path: str) -> str | None:
        """The id in the path ('' for a route without one), or None when this is another route."""
        head, marker, tail = self.path.partition("{id}")
        if method != self.method or not path.startswith(head) or not path.endswith(tail):
            return None
        ident = path[len(head) : len(path) - len(tail)]
        if not marker:
            return "" if path == head else None
        return ident if IDENT.fullmatch(ident) else None


def _leaves(where: Params) -> Params:
    """A filter that is an object asks for each of its fields."""
    leaves: Params = {}
    for name, value in where.items():
        below = value.items() if isinstance(value, dict) else ()
        leaves |= {f"{name}.{key}": inner for key, inner in below} or {name: value}
    return leaves


def create(path: str, handler: Handler, kinds: Mapping[str, Kind], *, required: tuple[str, ...] = ()) -> Route:
    return Route("POST", path, handler, Fields({**kinds, **EXPAND}, required))


def retrieve(path: str, kind: str) -> Route:
    def handler(work: Work, ident: str, params: Params) -> Json:
        return work.get(kind, ident)

    return Route("GET", f"{path}/{{id}}", handler)


def listing(
    path: str,
    kind: str,
    kinds: Mapping[str, Kind],
    *,
    columns: Mapping[str, str] | None = None,
    page: Mapping[str, Kind] = PAGE,
) -> Route:
    """A list whose filters are fields of the object, or the paths in `columns` where the names differ."""

    def handler(work: Work, ident: str, params: Params) -> Json:
        where = {(columns or {}).get(name, name): value for name, value in params.items() if name in kinds}
        return list_page(work, kind, url=path, params=params, where=_leaves(where))

    return Route("GET", path, handler, Fields({**page, **kinds}))
