"""What the older clients read of balance, usage and health. Money is a decimal string in credits (1 credit = 1 USD)."""

from datetime import datetime

from kit.http import ResponseModel


class AliasBalance(ResponseModel):
    """`GET /api/v1/llm/balance`."""

    balance: str
    debt: str
    currency: str
    plan: str | None
    as_of: datetime


class AliasTokens(ResponseModel):
    """Tokens as the provider counted them."""

    input: int
    output: int
    cached: int
    total: int


class AliasUsage(ResponseModel):
    """Usage since the UTC hour of `period_start`, or its UTC day where that is more than 60 days ago.

    The period is that of the plan's grant, or else the UTC month. `complete` is false where it is longer than 399 days
    or more models were used than one answer of the ledger holds.
    """

    period_start: datetime
    period_end: datetime
    requests: int
    tokens: AliasTokens
    charge: str
    by_model: dict[str, int]
    complete: bool


class AliasCurrentUsage(AliasUsage):
    """`GET /api/usage/current`. No balance for role `user`; allowances are what is left of the plan's own units."""

    plan: str | None
    balance: str | None
    tokens_used: int
    tokens_left: int | None
    requests_left: int | None


class AliasHealth(ResponseModel):
    """`GET /api/health`."""

    status: str
