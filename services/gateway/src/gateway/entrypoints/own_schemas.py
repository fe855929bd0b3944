"""What `/v1/quote` and `/v1/limits` answer. Money is a decimal string in credits."""

from datetime import datetime
from typing import Literal

from kit.http import ResponseModel


class QuotedAmounts(ResponseModel):
    """One call in every unit that could pay for it; `overage_credits` is all of it at the overage's price."""

    credits: str
    tokens: int
    requests: int
    overage_credits: str


class QuotedPayment(ResponseModel):
    """What would be taken of one kind: request and token units whole, `credit` and `overage` in credits."""

    payer: Literal["request", "token", "credit", "overage"]
    amount: str


class QuotedObstacle(ResponseModel):
    """Why the call would be refused now; `limit` and `resets_at` as in the refusal."""

    reason: str
    limit: str | None
    resets_at: datetime | None


class QuoteAnswer(ResponseModel):
    """What a call would cost.

    `worst` is the most that it can cost, `likely` what such a call usually costs, `held` what would be reserved at
    first: the worst case, or the input and a first step of output where the plan extends holds while streaming.
    `paid_by` says who would pay the worst case, in the order of paying; role `user` is told neither it nor `short_by`.
    """

    surface: str
    model_asked: str
    model: str
    unit: Literal["credit", "token", "request"]
    worst: QuotedAmounts
    likely: QuotedAmounts
    held: QuotedAmounts
    paid_by: list[QuotedPayment] | None
    short_by: str | None
    admitted: bool
    obstacle: QuotedObstacle | None
    price_book_version: int
    plan: str | None
    plan_version: int | None
    markup_bps: int


class LimitStanding(ResponseModel):
    """`requests_per_minute`, `tokens_per_minute`, `concurrency` or `member_concurrency`.

    What it is, what is left of it, and when all of it is there again; None is not by waiting.
    """

    name: str
    limit: int
    remaining: int
    resets_at: datetime | None


class BudgetStanding(ResponseModel):
    """A budget of `account`, `member`, `project` or `api_key`, per `day`, `month` or `total`.

    `in_flight_credits` stands on calls that the books do not count yet.
    """

    scope: str
    scope_id: str
    window: str
    limit_credits: str
    spent_credits: str
    in_flight_credits: str
    remaining_credits: str
    resets_at: datetime | None


class AmountStanding(ResponseModel):
    """One of `request`, `token`, `credit` and `overage`, the last two in credits.

    What may be used, what open calls hold, and what ended calls cost that the books do not show yet.
    """

    unit: str
    available: str
    held: str
    unconfirmed: str


class CallCeilings(ResponseModel):
    """What one call may ask for at most; None is unlimited."""

    max_tokens: int | None
    max_price_credits: str | None


class LimitsAnswer(ResponseModel):
    """The state of every limit and budget that concerns the caller.

    Role `user` sees own limits and own budgets, and no `amounts`: the account's balance is not theirs to see.
    """

    account: str
    plan: str | None
    plan_version: int | None
    admission: Literal["strict", "elastic"]
    limits: list[LimitStanding]
    ceilings: CallCeilings
    budgets: list[BudgetStanding]
    amounts: list[AmountStanding] | None
    used_percent: float | None
    renews_at: datetime | None
    near_limit: bool
    open_calls: int | None
    as_of: datetime
