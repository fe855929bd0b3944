"""From rows to answers."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from contracts.money import NANO_PER_CREDIT, Unit
from ledger.domain.grants import Grant
from ledger.domain.transfers import PLATFORM_KINDS, TransferKind
from ledger.schemas import (
    BalanceAnswer,
    BurntGrant,
    GrantLeft,
    PriceLine,
    RequestExplained,
    RequestSummary,
    RequestTransfer,
    Thresholds,
    Transaction,
    credits_of,
)
from ledger.service.reading import Balance, Explanation, counts_of
from rating import Line


def balance_answer(balance: Balance) -> BalanceAnswer:
    account = balance.account
    return BalanceAnswer(
        account_id=account.id,
        state=account.state,
        plan=account.plan_id,
        plan_version=account.plan_version,
        available_credits=credits_of(balance.available_nano),
        debt_credits=credits_of(account.debt_nano),
        grants=[_grant_left(grant) for grant in balance.grants],
        thresholds=Thresholds(
            arming=account.arming, base_credits=credits_of(account.armed_base), crossed=account.crossed
        ),
        version=account.version,
        as_of=balance.as_of,
    )


def _grant_left(grant: Grant) -> GrantLeft:
    if grant.unit is Unit.CREDIT:
        amounts = {"amount_credits": credits_of(grant.amount), "remaining_credits": credits_of(grant.remaining)}
    else:
        amounts = {"amount": str(grant.amount), "remaining": str(grant.remaining)}
    return GrantLeft(
        grant_id=grant.id,
        source=grant.source,
        unit=grant.unit,
        priority=grant.priority,
        starts_at=grant.starts_at,
        expires_at=grant.expires_at,
        **amounts,
    )


def transaction(row: Any) -> Transaction:
    signed = _signed(row)
    effect = 0 if row.kind == TransferKind.DEBT_REPAYMENT else signed
    before = None if row.balance_after is None else credits_of(row.balance_after - effect)
    return Transaction(
        sequence=row.seq,
        type=row.kind,
        unit=row.unit,
        amount_credits=credits_of(signed),
        balance_before_credits=before,
        balance_after_credits=None if row.balance_after is None else credits_of(row.balance_after),
        grant_id=row.grant_id,
        request_id=row.charge_id,
        model=row.target.removeprefix("revenue:") if row.target.startswith("revenue:") else None,
        reference=row.reference,
        effective_at=row.effective_at,
        created_at=row.booked_at,
    )


def _signed(row: Any) -> int:
    """Into a grant or out of debt is more for the customer."""
    gains = row.target.startswith(("grant:", "debt:")) and not row.source.startswith("grant:")
    return int(row.amount if gains else -row.amount)


def summary_fields(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "outcome": row.outcome,
        "basis": row.basis,
        "model": row.charged_model,
        "model_asked": row.model_asked,
        "streamed": row.streamed,
        "surface": row.surface,
        "http_status": row.http_status,
        "error_type": row.error_type,
        "counts": counts_of(row).model_dump(),
        "price_credits": credits_of(row.price_nano),
        "api_key_id": row.api_key_id,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "admitted_at": row.admitted_at,
        "first_byte_at": row.first_byte_at,
        "ended_at": row.ended_at,
    }


def summary(row: Any) -> RequestSummary:
    return RequestSummary(**summary_fields(row))


def explained(found: Explanation, *, for_operator: bool) -> RequestExplained:
    row = found.row
    shown = [transfer for transfer in found.transfers if for_operator or transfer.kind not in PLATFORM_KINDS]
    return RequestExplained(
        **summary_fields(row),
        route=row.route,
        attempts=row.attempts,
        service_tier=row.service_tier,
        inference_geo=row.inference_geo,
        speed=row.speed,
        upstream_request_id=row.upstream_request_id,
        iterations=row.iterations or [],
        allocation=row.allocation or [],
        price_book_version=row.price_book_version,
        plan=row.plan_id,
        plan_version=row.plan_version,
        markup_percent=_plain(Decimal(row.markup_bps) / 100),
        lines=[_line(line) for line in found.cost.lines] if found.cost else [],
        grants=[_burnt(transfer, found.sources) for transfer in shown if transfer.kind == TransferKind.DEDUCTION],
        transfers=[_moved(transfer) for transfer in shown],
        cost_credits=credits_of(row.cost_nano) if for_operator else None,
        booked_at=row.booked_at,
    )


def _line(line: Line) -> PriceLine:
    amount = Decimal(line.amount_numerator) / line.denominator / NANO_PER_CREDIT
    ratio = f"{line.numerator}/{line.denominator}" if line.denominator != 1 else str(line.numerator)
    return PriceLine(
        kind=line.kind,
        model=line.model,
        quantity=line.quantity,
        unit_price_credits=credits_of(line.unit_nano),
        ratio=ratio,
        amount_credits=_plain(amount),
    )


def _burnt(transfer: Any, sources: dict[UUID, str]) -> BurntGrant:
    source = sources.get(transfer.grant_id, "unknown") if transfer.grant_id else "debt"
    return BurntGrant(grant_id=transfer.grant_id, source=source, amount_credits=credits_of(transfer.amount))


def _moved(transfer: Any) -> RequestTransfer:
    return RequestTransfer(
        sequence=transfer.seq,
        type=transfer.kind,
        source=transfer.source,
        target=transfer.target,
        amount_credits=credits_of(transfer.amount),
        booked_at=transfer.booked_at,
        effective_at=transfer.effective_at,
    )


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
