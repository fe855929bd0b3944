"""Pages of objects, newest first, by cursor."""

from collections.abc import Mapping
from typing import Any

from sandbox.stripe.errors import ParameterError, ReferenceMissingError
from sandbox.stripe.store import Json, Query
from sandbox.stripe.work import Work

DEFAULT_LIMIT = 10


def list_page(work: Work, kind: str, *, url: str, params: dict[str, Any], where: Mapping[str, Any]) -> Json:
    if "starting_after" in params and "ending_before" in params:
        raise ParameterError("You may only specify one of starting_after and ending_before.", param="ending_before")
    limit = params.get("limit", DEFAULT_LIMIT)
    query = Query(
        kind=kind,
        where=where,
        created=params.get("created", {}),
        limit=limit + 1,
        after=_position(work, kind, cursor="starting_after", params=params),
        before=_position(work, kind, cursor="ending_before", params=params),
    )
    found = work.store.select(query)
    page = found[-limit:] if query.before is not None else found[:limit]
    return {"object": "list", "data": page, "has_more": len(found) > limit, "url": url}


def _position(work: Work, kind: str, *, cursor: str, params: dict[str, Any]) -> int | None:
    if cursor not in params:
        return None
    position = work.store.find_position(kind, params[cursor])
    if position is None:
        raise ReferenceMissingError(kind, params[cursor], param=cursor)
    return position
