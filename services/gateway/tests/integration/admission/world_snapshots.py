"""Snapshots of a world's books as the ledger would send them."""

from datetime import datetime, timedelta
from uuid import UUID

from contracts.ledger import BalanceChanged, Slice
from contracts.money import Unit
from contracts.terms import BudgetState, Limits, OverageTerms, Terms
from gateway.admission.terms import digest_of, encode

LETTERS = {"r": Unit.REQUEST, "t": Unit.TOKEN, "c": Unit.CREDIT, "o": Unit.CREDIT}


class SnapshotMaking:
    """Turns the reference's plans and grants into the contract's."""

    account_id: UUID
    began: datetime
    digests: dict[str, str]

    def with_plan(self, event, plan) -> BalanceChanged:
        """The snapshot with these limits; its digest is learnt for the plan's own name."""
        made = event.model_copy(
            update={
                "plan_id": plan.digest,
                "limits": Limits(
                    requests_per_minute=plan.rpm,
                    tokens_per_minute=plan.tpm,
                    concurrency=plan.open,
                    member_concurrency=plan.open_member,
                    max_price_nano=plan.most_price,
                ),
                "terms": Terms(
                    request_max_price_nano=plan.most_request,
                    overage=OverageTerms(policy="warn" if plan.policy == "warn" else "block"),
                ),
                "budgets": tuple(self.budget_of(budget) for budget in plan.budgets),
            }
        )
        self.digests[plan.digest] = digest_of(encode(made))
        return made

    def budget_of(self, budget) -> BudgetState:
        scope, window, limit, spent, resets = budget
        kind, _, scope_id = scope.partition(":")
        return BudgetState(
            scope=kind,
            scope_id=UUID(hex=scope_id) if scope_id else self.account_id,
            window=window,
            limit_nano=limit,
            spent_nano=spent,
            resets_at=None if resets is None else self.began + timedelta(hours=resets),
        )

    def slice_of(self, grant) -> Slice:
        starts, ends = (self.began + timedelta(hours=hour) for hour in (grant.from_hour, grant.to_hour))
        return Slice(
            slice_id=grant.slice_id,
            unit=LETTERS[grant.unit],
            kind="overage" if grant.unit == "o" else "grant",
            amount=grant.amount,
            starts_at=starts,
            expires_at=ends,
        )
