"""From rows to answers."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from contracts.money import NANO_PER_CREDIT, Unit
from ledger.domain.grants import Grant
from ledger.domain.transfers import PLATFORM_KINDS, TransferKind
from ledger.domain.usage import CLASSES
from ledger.schemas.amounts import amount_of, credits_of
from ledger.schemas.balance import BalanceAnswer, GrantLeft, Thresholds, Transaction, UnitLeft
from ledger.schemas.requests import (
    Archived,
    BurntGrant,
    OperationDone,
    PriceLine,
    RequestExplained,
    RequestSummary,
    RequestTransfer,
)
from ledger.service.reading import Balance, Explanation, counts_of
from rating import Line
from rating.plan_tokens import CLASSES as WEIGHED


def balance_answer(balance: Balance) -> BalanceAnswer:
    account = balance.account
    thresholds = Thresholds(arming=account.arming, base_credits=credits_of(account.armed_base), crossed=account.crossed)
    held = {Unit.CREDIT, *(grant.unit for grant in balance.grants)}
    return BalanceAnswer(
        account_id=account.id,
        state=account.standing,
        plan=account.plan_id,
        plan_version=account.plan_version,
        available_credits=credits_of(balance.available_nano),
        debt_credits=credits_of(balance.debt_nano),
        overage_accrued_credits=credits_of(balance.overage_nano),
        units=[
            UnitLeft(unit=unit, available=amount_of(balance.available(unit), unit)) for unit in Unit if unit in held
        ],
        grants=[_grant_left(grant) for grant in balance.grants],
        thresholds=None if balance.is_past else thresholds,
        version=None if balance.is_past else account.version,
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
    signed = signed_amount(row)
    effect = 0 if row.kind == TransferKind.DEBT_REPAYMENT else signed
    after = row.balance_after
    before = None if after is None else after - effect
    return Transaction(
        sequence=row.seq,
        type=row.kind,
        unit=row.unit,
        **_amounts(row.unit, amount=signed, balance_before=before, balance_after=after),
        grant_id=row.grant_id,
        request_id=row.charge_id,
        model=row.target.partition(":")[2] if row.target.startswith(("revenue:", "used:")) else None,
        reference=row.reference,
        effective_at=row.effective_at,
        created_at=row.booked_at,
    )


def _amounts(unit: str, **amounts: int | None) -> dict[str, Any]:
    """Each amount under `…_credits`, or under its plain name where the unit is another one."""
    told: dict[str, Any] = {}
    for name, amount in amounts.items():
        text = None if amount is None else amount_of(amount, unit)
        is_credit = unit == Unit.CREDIT
        told[f"{name}_credits"], told[name] = (text, None) if is_credit else (None, text)
    return told


def signed_amount(row: Any) -> int:
    """Into a grant or out of debt is more for the customer."""
    own = ("grant:", "debt:", "receivable:")
    gains = row.target.startswith(own) and not row.source.startswith("grant:")
    return int(row.amount if gains else -row.amount)


def transaction_row(row: Any) -> dict[str, Any]:
    """A movement as a line of a file."""
    after = row.balance_after
    return {
        "sequence": row.seq,
        "type": row.kind,
        "unit": row.unit,
        "amount": amount_of(signed_amount(row), row.unit),
        "balance_after": None if after is None else amount_of(after, row.unit),
        "grant_id": _text(row.grant_id),
        "request_id": _text(row.charge_id),
        "reference": row.reference,
        "effective_at": row.effective_at,
        "created_at": row.booked_at,
    }


def request_row(row: Any) -> dict[str, Any]:
    """A call as a line of a file."""
    same = (
        "admitted_at",
        "ended_at",
        "outcome",
        "basis",
        "model",
        "model_asked",
        "http_status",
        "plan_tokens",
        *CLASSES,
    )
    return {
        **{name: getattr(row, name) for name in same},
        "id": str(row.id),
        "project_id": _text(row.project_id),
        "api_key_id": _text(row.api_key_id),
        "user_id": _text(row.user_id),
        "price_credits": credits_of(row.price_nano),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def summary_fields(row: Any) -> dict[str, Any]:
    is_here = row.gateway_instance is not None
    same = (
        "id",
        "outcome",
        "basis",
        "model",
        "model_asked",
        "streamed",
        "surface",
        "http_status",
        "error_type",
        "api_key_id",
        "project_id",
        "user_id",
        "admitted_at",
        "first_byte_at",
        "ended_at",
        "plan_tokens",
        "plan_requests",
    )
    return {
        **{name: getattr(row, name) for name in same},
        "counts": counts_of(row).model_dump() if is_here else None,
        "operation": _operation(row.operation) if row.operation else None,
        "price_credits": credits_of(row.price_nano),
        "overage_credits": credits_of(row.overage_nano),
    }


def _operation(stored: dict[str, Any]) -> OperationDone:
    return OperationDone(
        name=stored["name"],
        quantity=int(stored["quantity"]),
        unit=stored["unit"],
        idempotency_key=stored.get("idempotency_key"),
        duplicate_of=stored.get("duplicate_of"),
    )


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
        token_weights=dict(zip(WEIGHED, found.weights, strict=True)) if found.weights else None,
        corrections=[_moved(transfer) for transfer in found.corrections],
        archived=_archived(found),
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


def _archived(found: Explanation) -> Archived | None:
    if found.row.gateway_instance is not None:
        return None
    archive = found.archive
    return Archived(file=archive.file if archive else None, archived_at=archive.archived_at if archive else None)


def _burnt(transfer: Any, sources: dict[UUID, str]) -> BurntGrant:
    if transfer.grant_id:
        source = sources.get(transfer.grant_id, "unknown")
    else:
        source = "overage" if transfer.source.startswith("receivable:") else "debt"
    return BurntGrant(
        grant_id=transfer.grant_id, source=source, unit=transfer.unit, **_amounts(transfer.unit, amount=transfer.amount)
    )


def _moved(transfer: Any) -> RequestTransfer:
    return RequestTransfer(
        sequence=transfer.seq,
        type=transfer.kind,
        source=transfer.source,
        target=transfer.target,
        unit=transfer.unit,
        **_amounts(transfer.unit, amount=transfer.amount),
        hash=bytes(transfer.hash).hex() if transfer.hash else None,
        booked_at=transfer.booked_at,
        effective_at=transfer.effective_at,
    )


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
