"""Budgets as the public API writes them: a window, and a decimal string in credits."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints

from contracts.money import MAX_AMOUNT, NANO_PER_CREDIT
from contracts.terms import Budget, BudgetWindow
from kit.http import RequestModel


def _bounded(text: str) -> str:
    if Decimal(text) * NANO_PER_CREDIT > MAX_AMOUNT:
        raise ValueError(f"is more than {MAX_AMOUNT // NANO_PER_CREDIT} credits")
    return text


Credits = Annotated[
    str,
    StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$"),
    AfterValidator(_bounded),
    Field(description="credits as a decimal string (1 credit = 1 USD)", examples=["25.00"]),
]


class BudgetBody(RequestModel):
    """The most that may be spent in a window: UTC days and months, or in all."""

    window: BudgetWindow
    limit: Credits

    @classmethod
    def of(cls, budget: Budget) -> Self:
        return cls(window=budget.window, limit=f"{Decimal(budget.limit_nano) / NANO_PER_CREDIT:f}")

    def budget(self) -> Budget:
        return Budget(window=self.window, limit_nano=int(Decimal(self.limit) * NANO_PER_CREDIT))


def _one_per_window(bodies: tuple[BudgetBody, ...]) -> tuple[BudgetBody, ...]:
    if len({one.window for one in bodies}) < len(bodies):
        raise ValueError("has more than one budget for a window")
    return bodies


BudgetBodies = Annotated[tuple[BudgetBody, ...], Field(max_length=3), AfterValidator(_one_per_window)]


def budgets_of(bodies: tuple[BudgetBody, ...]) -> tuple[Budget, ...]:
    return tuple(one.budget() for one in bodies)


def bodies_of(budgets: tuple[Budget, ...]) -> list[BudgetBody]:
    return [BudgetBody.of(one) for one in budgets]
