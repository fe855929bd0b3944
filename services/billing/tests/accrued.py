"""What the ledger tells of use that was accrued."""

from datetime import timedelta
from uuid import UUID, uuid4

from contracts.ledger import OverageAccrued


def hour_of_use(counter, account_id: UUID, amount_nano: int, *, sequence: int = 1) -> OverageAccrued:
    """The hour before this one, of a plan that is paid for what was used."""
    now = counter.clock.now()
    return OverageAccrued(
        id=uuid4(),
        time=now,
        account_id=account_id,
        plan_id="used",
        plan_version=1,
        hour=now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1),
        sequence=sequence,
        collect="payment",
        unit="credit",
        quantity=amount_nano,
        amount_nano=amount_nano,
    )
