"""What the routes take and answer that change a subscription, its payment and what is paid by itself."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from billing.domain.amounts import credit_text, money_text
from billing.domain.payment_methods import PaymentMethod as Method
from billing.domain.payment_methods import Wallet as Kept
from billing.schemas.buying import CreditText, Instant, MoneyText, ReturnUrl, Seats
from billing.service.changing import Preview
from billing.service.statements import CreditNoteSheet, InvoiceSheet, UsedLine, UseLine
from billing.service.top_ups import TopUpState
from kit.http import RequestModel, ResponseModel


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('write the time as text, such as "2026-11-21T12:00:00Z"')  # noqa: TRY004  # pydantic's way
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text)]
PlanId = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class ChangeRequest(RequestModel):
    """The plan that is wanted (left out: the present one), and how many seats.

    `previewed_at` is a preview's `at`: within 15 minutes the change then costs exactly what the preview said.
    """

    plan: PlanId | None = None
    seats: Seats | None = None
    previewed_at: Moment | None = None


class PreviewRequest(RequestModel):
    plan: PlanId | None = None
    seats: Seats | None = None


class PreviewLine(ResponseModel):
    description: str
    amount: str


class PreviewAnswer(ResponseModel):
    """`due` is charged at once; at most `allowance_taken` of the old allowance is taken back: what is unused."""

    plan: str
    seats: int
    when: Literal["now", "period_end"]
    at: Instant
    takes_hold_at: Instant
    due: str
    currency: str
    tax: str = Field(description="what of `due` is taxes; the lines are without them")
    lines: list[PreviewLine]
    next_price: str
    unit: str
    allowance_given: str | None
    allowance_taken: str | None

    @classmethod
    def of(cls, preview: Preview) -> "PreviewAnswer":
        step, allowance = preview.step, preview.allowance
        return cls(
            plan=step.new.terms.offer_id,
            seats=step.new.quantity,
            when=step.when,
            at=preview.at,
            takes_hold_at=preview.at if step.when == "now" else step.period.ends_at,
            due=money_text(preview.due_minor),
            tax=money_text(preview.tax_minor),
            currency=step.new.currency,
            lines=[PreviewLine(description=text, amount=money_text(minor)) for text, minor in preview.lines],
            next_price=money_text(step.new.price_minor),
            unit=step.new.terms.grant_unit.value,
            allowance_given=_in_unit(allowance.given, allowance.unit) if allowance else None,
            allowance_taken=_in_unit(allowance.taken, allowance.unit) if allowance else None,
        )


def _in_unit(amount: int, unit: str) -> str:
    return credit_text(amount) if unit == "credit" else str(amount)


class ChangeAnswer(ResponseModel):
    subscription_id: str
    when: Literal["now", "period_end"]


class CancelRequest(RequestModel):
    when: Literal["now", "period_end"]


class ResumeAnswer(ResponseModel):
    subscription_id: str


class PayPerUseRequest(RequestModel):
    plan: PlanId


class PayPerUseAnswer(ResponseModel):
    plan: str


class PortalRequest(RequestModel):
    """Where Stripe's page leads back to: Faregate's own origin, or the buyer's own machine."""

    return_url: ReturnUrl | None = None


class PortalAnswer(ResponseModel):
    url: str


class PaymentMethodView(ResponseModel):
    """`charged` marks the one that is charged when nobody says otherwise."""

    id: str
    kind: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    charged: bool

    @classmethod
    def of(cls, method: Method, *, charged: bool) -> "PaymentMethodView":
        return cls(
            id=method.id,
            kind=method.kind,
            brand=method.brand,
            last4=method.last4,
            exp_month=method.exp_month,
            exp_year=method.exp_year,
            charged=charged,
        )


class PaymentMethods(ResponseModel):
    items: list[PaymentMethodView]

    @classmethod
    def of(cls, wallet: Kept) -> "PaymentMethods":
        return cls(items=[PaymentMethodView.of(one, charged=one.id == wallet.charged_id) for one in wallet.methods])


class PaymentMethodAnswer(ResponseModel):
    id: str


class InvoiceLineView(ResponseModel):
    """`use` marks what was used past the allowance; the hours behind it: `/billing/invoices/{id}/use`."""

    description: str
    amount: str
    quantity: int
    period_start: Instant
    period_end: Instant
    proration: bool
    use: bool


class InvoiceView(ResponseModel):
    id: str
    number: str | None
    status: str
    currency: str
    total: str
    tax: str
    paid: str
    pdf_url: str | None
    page_url: str | None
    lines: list[InvoiceLineView]
    created_at: Instant

    @classmethod
    def of(cls, sheet: InvoiceSheet) -> "InvoiceView":
        return cls(
            id=sheet.id,
            number=sheet.number,
            status=sheet.status,
            currency=sheet.currency,
            total=money_text(sheet.total_minor),
            tax=money_text(sheet.tax_minor),
            paid=money_text(sheet.paid_minor),
            pdf_url=sheet.pdf_url,
            page_url=sheet.page_url,
            lines=[
                InvoiceLineView(
                    description=line.description,
                    amount=money_text(line.amount_minor),
                    quantity=line.quantity,
                    period_start=line.period_start,
                    period_end=line.period_end,
                    proration=line.is_proration,
                    use=line.is_use,
                )
                for line in sheet.lines
            ],
            created_at=sheet.created_at,
        )


class CreditNoteView(ResponseModel):
    id: str
    invoice_id: str
    number: str | None
    status: str
    reason: str | None
    currency: str
    total: str
    pdf_url: str | None
    created_at: Instant

    @classmethod
    def of(cls, sheet: CreditNoteSheet) -> "CreditNoteView":
        return cls(
            id=sheet.id,
            invoice_id=sheet.invoice_id,
            number=sheet.number,
            status=sheet.status,
            reason=sheet.reason,
            currency=sheet.currency,
            total=money_text(sheet.total_minor),
            pdf_url=sheet.pdf_url,
            created_at=sheet.created_at,
        )


class UseHour(ResponseModel):
    hour: Instant
    plan: str
    credits: str


class UseOfPayment(ResponseModel):
    """The hours that a payment collected, to the nano-credit; less than a cent is carried to the next payment."""

    payment_id: str
    items: list[UseHour]

    @classmethod
    def of(cls, payment_id: str, lines: list[UseLine]) -> "UseOfPayment":
        hours = [UseHour(hour=one.hour, plan=one.plan_id, credits=credit_text(one.amount_nano)) for one in lines]
        return cls(payment_id=payment_id, items=hours)


class ReportedHour(ResponseModel):
    hour: Instant
    credits: str


class UseOfLine(ResponseModel):
    """A line and the hours that Stripe was told of for it; `unexplained` is what it counts beyond them, or less."""

    description: str
    amount: str
    period_start: Instant
    period_end: Instant
    items: list[ReportedHour]
    unexplained: str


class UseOfInvoice(ResponseModel):
    """The hours behind each line for use, as they were reported; the calls of an hour stand at `/v1/requests`."""

    invoice_id: str
    lines: list[UseOfLine]

    @classmethod
    def of(cls, invoice_id: str, lines: list[UsedLine]) -> "UseOfInvoice":
        shown = [
            UseOfLine(
                description=one.line.description,
                amount=money_text(one.line.amount_minor),
                period_start=one.line.period_start,
                period_end=one.line.period_end,
                items=[ReportedHour(hour=hour, credits=credit_text(nano)) for hour, nano in one.hours],
                unexplained=credit_text(one.unexplained_nano),
            )
            for one in lines
        ]
        return cls(invoice_id=invoice_id, lines=shown)


class CeilingRequest(RequestModel):
    """The most that may be billed later in a period; null: as much again as the plan costs."""

    ceiling: CreditText | None


class CeilingAnswer(ResponseModel):
    ceiling: str | None


class AutoTopUpRequest(RequestModel):
    """No more than `below` credits left: `amount` more, and what is missing up to `below`, within both caps."""

    below: CreditText
    amount: MoneyText
    daily_cap: MoneyText
    monthly_cap: MoneyText


class AutoTopUpAnswer(ResponseModel):
    """`paused` is why nothing is topped up until the customer does something about it: another card, or to resume.

    `confirm_url` is where they confirm the last top-up, while their bank wants that.
    """

    enabled: bool
    below: str | None = None
    amount: str | None = None
    daily_cap: str | None = None
    monthly_cap: str | None = None
    paused: str | None = None
    last_state: str | None = None
    last_amount: str | None = None
    last_at: Instant | None = None
    confirm_url: str | None = None

    @classmethod
    def of(cls, state: TopUpState, *, confirm_url: str | None = None) -> "AutoTopUpAnswer":
        rule = state.rule
        last_at: datetime | None = state.last_at
        return cls(
            enabled=rule is not None,
            below=credit_text(rule.below_nano) if rule else None,
            amount=money_text(rule.amount_minor) if rule else None,
            daily_cap=money_text(rule.day_minor) if rule else None,
            monthly_cap=money_text(rule.month_minor) if rule else None,
            paused=state.paused,
            last_state=state.last_state,
            last_amount=None if state.last_amount_minor is None else money_text(state.last_amount_minor),
            last_at=last_at,
            confirm_url=confirm_url,
        )


class PaymentPage(ResponseModel):
    """Whoever has the address may pay there."""

    url: str | None
