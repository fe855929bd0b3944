"""From sums to answers: usage, forecasts, statements, reports."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any, Final
from uuid import UUID

from contracts.money import Unit
from ledger.domain.forecast import METHOD, Band
from ledger.domain.margins import Margin
from ledger.domain.statements import Statement
from ledger.domain.usage import CLASSES, COLUMNS, NOBODY, UsageQuery
from ledger.schemas.amounts import amount_of, credits_of, nano_of
from ledger.schemas.balance import BandCredits, ForecastAnswer, RunOutAnswer
from ledger.schemas.operator import (
    AdjustmentAnswer,
    AdjustmentRequest,
    AuditEntry,
    DebtRow,
    LiabilitiesAnswer,
    MarginAnswer,
    MarginRow,
    Outstanding,
    RefundAnswer,
    RefundRequest,
)
from ledger.schemas.promos import PromoAnswer
from ledger.schemas.statements import Movement, StatementAnswer, UnitMoved
from ledger.schemas.usage import MixRow, TokensUsed, UsageAnswer, UsageMix, UsageRow
from ledger.service.adjusting import Adjusted
from ledger.service.forecasting import Forecast
from ledger.service.refunding import Refunded
from ledger.service.reporting import Liabilities, MarginQuery

MILLION: Final = 1_000_000


def usage_answer(
    wanted: UsageQuery, rows: Sequence[Any], *, for_operator: bool, next_cursor: str | None
) -> UsageAnswer:
    return UsageAnswer(
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        granularity=wanted.granularity,
        group_by=list(wanted.groups),
        items=[_usage_row(wanted, row, for_operator=for_operator) for row in rows],
        next_cursor=next_cursor,
    )


def _usage_row(wanted: UsageQuery, row: Any, *, for_operator: bool) -> UsageRow:
    columns = [COLUMNS[group] for group in wanted.groups]
    named = {column: None if getattr(row, column) == NOBODY else getattr(row, column) for column in columns}
    return UsageRow(
        starts_at=row.bucket,
        **named,
        calls=row.calls,
        failed=row.failed,
        tokens=TokensUsed(**{name.removesuffix("_tokens"): getattr(row, name) for name in CLASSES}),
        plan_tokens=row.plan_tokens,
        price_credits=credits_of(row.price_nano),
        cost_credits=credits_of(row.cost_nano) if for_operator else None,
    )


def usage_mix(rows: Sequence[Any], *, days: int) -> UsageMix:
    return UsageMix(days=days, models=[_mix_row(row) for row in rows])


def _mix_row(row: Any) -> MixRow:
    """Shares by differences of floors, so that they add up."""
    counts = [int(getattr(row, name)) for name in CLASSES]
    total, seen, shares = sum(counts), 0, {}
    for name, count in zip(CLASSES, counts, strict=True):
        before, seen = seen, seen + count
        share = MILLION * seen // total - MILLION * before // total if total else 0
        shares[name.removesuffix("_tokens")] = share
    return MixRow(model=row.model, calls=row.calls, shares_ppm=shares)


def forecast_answer(account_id: UUID, found: Forecast) -> ForecastAnswer:
    runs_out = found.runs_out
    return ForecastAnswer(
        account_id=account_id,
        method=METHOD,
        basis_days=found.basis_days,
        daily_spend=_band(found.spend),
        runs_out=RunOutAnswer(expected=runs_out.expected, earliest=runs_out.earliest, latest=runs_out.latest)
        if runs_out
        else None,
        period_ends_at=found.period_ends_at,
        period_overage=_band(found.overage),
        as_of=found.as_of,
    )


def _band(band: Band | None) -> BandCredits | None:
    if band is None:
        return None
    expected, low, high = map(credits_of, band)
    return BandCredits(expected_credits=expected, low_credits=low, high_credits=high)


def statement_answer(account_id: UUID, found: Statement) -> StatementAnswer:
    return StatementAnswer(
        account_id=account_id,
        period=found.period,
        starts_at=found.starts_at,
        ends_at=found.ends_at,
        closed=found.is_closed,
        units=[
            UnitMoved(
                unit=one.unit,
                opening=amount_of(one.opening, one.unit),
                movements=[Movement(type=kind, amount=amount_of(amount, one.unit)) for kind, amount in one.movements],
                closing=amount_of(one.closing, one.unit),
            )
            for one in found.units
        ],
        debt_credits=credits_of(found.debt_nano),
        overage_credits=credits_of(found.overage_nano),
    )


def statement_csv(statement: StatementAnswer) -> str:
    """One line per figure."""
    written = StringIO()
    lines = csv.writer(written, lineterminator="\r\n")
    lines.writerow(("period", "unit", "line", "amount"))
    for unit in statement.units:
        lines.writerow((statement.period, unit.unit, "opening", unit.opening))
        lines.writerows((statement.period, unit.unit, one.type, one.amount) for one in unit.movements)
        lines.writerow((statement.period, unit.unit, "closing", unit.closing))
    lines.writerow((statement.period, Unit.CREDIT.value, "debt", statement.debt_credits))
    lines.writerow((statement.period, Unit.CREDIT.value, "overage", statement.overage_credits))
    return written.getvalue()


def margin_answer(wanted: MarginQuery, found: Sequence[Margin], *, next_cursor: str | None) -> MarginAnswer:
    return MarginAnswer(
        by=wanted.scope,
        starts_on=wanted.first,
        ends_before=wanted.last,
        items=[_margin_row(margin) for margin in found],
        next_cursor=next_cursor,
    )


def _margin_row(margin: Margin) -> MarginRow:
    return MarginRow(
        subject=margin.subject,
        calls=margin.calls,
        value_credits=credits_of(margin.value_nano),
        price_credits=credits_of(margin.price_nano),
        revenue_credits=credits_of(margin.revenue_nano),
        cost_credits=credits_of(margin.cost_nano),
        fee_credits=credits_of(margin.fee_nano),
        margin_credits=credits_of(margin.margin_nano),
        margin_bps=margin.margin_bps,
    )


def liabilities_answer(found: Liabilities) -> LiabilitiesAnswer:
    return LiabilitiesAnswer(
        as_of=found.as_of,
        indebted_accounts=found.indebted_accounts,
        debt_credits=credits_of(found.debt_nano),
        unbilled_overage_credits=credits_of(found.unbilled_overage_nano),
        outstanding=[
            Outstanding(
                unit=unit,
                paid=amount_of(found.granted.get((unit, True), 0), unit),
                given=amount_of(found.granted.get((unit, False), 0), unit),
            )
            for unit in Unit
        ],
        breakage={unit: amount_of(amount, unit) for unit, amount in found.breakage.items()},
    )


def debt_row(row: Any) -> DebtRow:
    return DebtRow(account_id=row.id, debt_credits=credits_of(row.debt_nano), state=row.state, plan=row.plan_id)


def audit_entry(row: Any) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.model_fields})


def promo_answer(row: Any) -> PromoAnswer:
    return PromoAnswer(
        promo_id=row.id,
        code=row.code,
        unit=row.unit,
        amount=amount_of(row.amount, row.unit),
        valid_days=row.valid_days,
        most=row.most,
        redeemed=row.redeemed,
        expires_at=row.expires_at,
        reason=row.reason,
        created_by=row.actor_user_id,
        created_at=row.created_at,
    )


def adjustment_answer(body: AdjustmentRequest, adjusted: Adjusted) -> AdjustmentAnswer:
    return AdjustmentAnswer(
        adjustment_id=adjusted.adjustment_id,
        account_id=body.account_id,
        amount_credits=credits_of(nano_of(body.amount_credits)),
        grant_id=adjusted.grant_id,
        available_credits=credits_of(adjusted.available_nano),
        debt_credits=credits_of(adjusted.debt_nano),
        version=adjusted.version,
        created_at=adjusted.created_at,
    )


def refund_answer(body: RefundRequest, refunded: Refunded) -> RefundAnswer:
    return RefundAnswer(
        refund_id=refunded.refund_id,
        account_id=body.account_id,
        request_id=body.request_id,
        returned_credits=credits_of(refunded.returned.credit_nano),
        returned_tokens=refunded.returned.tokens,
        returned_requests=refunded.returned.requests,
        available_credits=credits_of(refunded.available_nano),
        debt_credits=credits_of(refunded.debt_nano),
        version=refunded.version,
    )
