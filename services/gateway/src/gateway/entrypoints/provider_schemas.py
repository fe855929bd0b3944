"""Bodies of the operator API for providers, models, aliases, routes and route sets."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from gateway.routing.config import AliasSpec, EntryKind, ModelSpec, ProviderSpec, RouteSetSpec, RouteSpec, Spec
from kit.http import RequestModel, ResponseModel

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; kept with the change")]
Version = Annotated[
    int, Field(ge=0, strict=True, description="The entry's version as it was read; 0 when the API never changed it")
]


class PutEntry(RequestModel):
    """A whole entry, as the configuration file would hold it."""

    spec: Spec
    expected_version: Version
    reason: Reason


class PutProvider(PutEntry):
    spec: ProviderSpec


class PutModel(PutEntry):
    spec: ModelSpec


class PutAlias(PutEntry):
    spec: AliasSpec


class PutRoute(PutEntry):
    spec: RouteSpec


class PutRouteSet(PutEntry):
    spec: RouteSetSpec


class PatchEntry(RequestModel):
    """The settings to replace; null takes one away, so that its default holds."""

    changes: dict[str, Any] = Field(min_length=1)
    expected_version: Version
    reason: Reason


class SwitchEntry(RequestModel):
    """To enable or disable; without a version it is whatever stands now."""

    expected_version: Version | None = None
    reason: Reason


class EntryAnswer(ResponseModel):
    """An entry as it is in force; secrets are references."""

    kind: EntryKind
    name: str
    version: int
    source: Literal["file", "operator"]
    enabled: bool
    spec: dict[str, Any]
    changed_by: UUID | None = None
    changed_at: datetime | None = None
    reason: str | None = None


class EntryList(ResponseModel):
    entries: list[EntryAnswer]


class StateAnswer(ResponseModel):
    """A route's use of a credential, as this gateway sees it."""

    provider: str
    route: str
    credential_id: str
    state: Literal["serving", "cooling", "broken"]
    until: datetime | None = None
    failures_in_a_row: int


class OffAnswer(ResponseModel):
    """What is configured but not in use."""

    name: str
    reason: str


class RoutingAnswer(ResponseModel):
    """The whole as this gateway sees it."""

    file: str
    price_book_version: int | None
    providers_on: list[str]
    off: list[OffAnswer]
    problems: list[OffAnswer]
    states: list[StateAnswer]


class ServingProvider(ResponseModel):
    """A provider that is on, and what it serves."""

    name: str
    kind: str
    enabled: bool = True
    models: list[str]


class ServingProviders(ResponseModel):
    providers: list[ServingProvider]
