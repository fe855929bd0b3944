"""What an account may spend unseen while Redis is away: its plan's open allowance, in this process (money.md 30)."""

from uuid import UUID

from gateway.admission.terms import AccountTerms


class OpenAllowance:
    """Counts worst cases, and gives nothing back before Redis is back: by then they stand there.

    Bound: allowance times processes for each time that Redis is away.
    """

    def __init__(self) -> None:
        self._spent: dict[UUID, int] = {}

    def take(self, account_id: UUID, price_nano: int, terms: AccountTerms) -> bool:
        """Closed by default: a plan without an allowance gets False."""
        allowance = terms.terms.open_allowance_nano
        spent = self._spent.get(account_id, 0) + price_nano
        if allowance <= 0 or spent > allowance:
            return False
        self._spent[account_id] = spent
        return True

    def close(self) -> None:
        """Redis is back, and everything that was admitted has been entered."""
        self._spent.clear()
