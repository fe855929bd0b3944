"""The usage event: what is known at admission, kept with the hold, and the one terminal fact made of it."""

from datetime import datetime
from typing import Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict

from contracts.gateway import Allocation, UsageRecorded
from gateway.admission.types import Admitted
from gateway.usage.ending import Ending, Progress
from kit.tokens import Caller


class CallReport(BaseModel):
    """What an event needs that only the gateway knows before the call; its JSON lies beside the hold in Redis."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    project_id: UUID | None = None
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    surface: str
    streamed: bool
    model_asked: str
    route: str
    price_book_version: int
    markup_bps: int

    @classmethod
    def of(
        cls, caller: Caller, *, surface: str, streamed: bool, model: str, price_book_version: int, markup_bps: int
    ) -> Self:
        return cls(
            project_id=caller.project_id,
            user_id=caller.user_id,
            api_key_id=caller.api_key_id,
            surface=surface,
            streamed=streamed,
            model_asked=model,
            route="anthropic",
            price_book_version=price_book_version,
            markup_bps=markup_bps,
        )

    def encode(self) -> bytes:
        return orjson.dumps(self.model_dump(mode="json"))


def usage_event(
    report: CallReport,
    admitted: Admitted,
    ending: Ending,
    progress: Progress,
    *,
    account_id: UUID,
    instance: str,
    first_byte_at: datetime | None,
    ended_at: datetime,
) -> UsageRecorded:
    """The fact about an ended call; its id is the call's."""
    return UsageRecorded(
        id=admitted.call_id,
        time=ended_at,
        account_id=account_id,
        gateway_instance=instance,
        **report.model_dump(exclude={"markup_bps"}),
        model_served=ending.model_served,
        outcome=ending.outcome,
        basis=ending.basis,
        http_status=progress.status,
        error_type=ending.error_type,
        counts=ending.counts,
        iterations=ending.iterations,
        service_tier=ending.service_tier,
        inference_geo=ending.inference_geo,
        speed=ending.speed,
        admitted_at=admitted.admitted_at,
        first_byte_at=first_byte_at,
        ended_at=ended_at,
        plan_id=admitted.plan_id,
        plan_version=admitted.plan_version,
        markup_bps=admitted.markup_bps,
        allocation=admitted.allocation,
        upstream_request_id=progress.upstream_request_id,
    )


def orphan_event(
    report: CallReport,
    *,
    account_id: UUID,
    call_id: UUID,
    instance: str,
    allocation: tuple[Allocation, ...],
    admitted_at: datetime,
) -> UsageRecorded:
    """The provisional fact about a call whose end nobody reported.

    Times are the admission's: whoever sweeps, and however often, states the same.
    """
    return UsageRecorded(
        id=call_id,
        time=admitted_at,
        account_id=account_id,
        gateway_instance=instance,
        **report.model_dump(),
        outcome="orphaned",
        basis="none",
        admitted_at=admitted_at,
        ended_at=admitted_at,
        allocation=allocation,
    )
