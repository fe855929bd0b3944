"""What an account's plan decides about prices and limits, and the digest by which script and gateway agree on it."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import orjson

from contracts.ledger import BalanceChanged
from contracts.terms import Limits, PaymentProblem, Terms
from rating.plan_tokens import PlanWeights, Weight, overage_of

DIGEST_LENGTH: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class AccountTerms:
    """Made of a snapshot; all that reads it may share it. `quoted_plan` is how scripts keep `plan_id`."""

    digest: str
    plan_id: str | None
    plan_version: int | None
    markup_bps: int
    models: frozenset[str] | None
    limits: Limits
    terms: Terms
    admission: Literal["strict", "elastic"]
    weights: PlanWeights
    markups: dict[str, int]
    quoted_plan: str
    is_limited: bool
    payment_problem: PaymentProblem | None = None

    @classmethod
    def of(cls, event: BalanceChanged) -> Self:
        return cls.parse(encode(event))

    @classmethod
    def parse(cls, encoded: bytes) -> Self:
        """Read what `encode` wrote."""
        found: dict[str, Any] = orjson.loads(encoded)
        terms, limits = Terms.model_validate(found["terms"]), Limits.model_validate(found["limits"])
        models, problem = found["models"], found.get("payment_problem")
        return cls(
            digest=digest_of(encoded),
            plan_id=found["plan_id"],
            plan_version=found["plan_version"],
            markup_bps=found["markup_bps"],
            models=None if models is None else frozenset(models),
            limits=limits,
            terms=terms,
            admission=found["admission"],
            weights=PlanWeights(Weight(one.model, one.token_class, one.hundredths) for one in terms.weights),
            markups={one.model: one.markup_bps for one in terms.model_markups},
            quoted_plan=quoted_plan(found["plan_id"]),
            is_limited=limits != Limits(),
            payment_problem=None if problem is None else PaymentProblem.model_validate(problem),
        )

    def markup_for(self, model: str) -> int:
        """The plan's markup, or the model's own."""
        return self.markups.get(model, self.markup_bps)

    def overage_nano(self, *, tokens: int, price_nano: int) -> int:
        """What all of a call would cost past the plan."""
        return overage_of(tokens, price_nano=price_nano, nano_per_1k_tokens=self.terms.overage.nano_per_1k_tokens)


def encode(event: BalanceChanged) -> bytes:
    """Everything that decides prices, limits and what a refusal says; the same bytes for the same decisions."""
    fields = {
        "plan_id": event.plan_id,
        "plan_version": event.plan_version,
        "markup_bps": event.markup_bps,
        "models": None if event.models is None else sorted(event.models),
        "limits": event.limits.model_dump(mode="json"),
        "terms": event.terms.model_dump(mode="json"),
        "admission": event.admission,
    }
    if event.payment_problem is not None:
        fields["payment_problem"] = event.payment_problem.model_dump(mode="json")
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def digest_of(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()[:DIGEST_LENGTH]


def quoted_plan(plan_id: str | None) -> str:
    """No separator of an entry may occur in it."""
    return quote(plan_id or "", safe="")
