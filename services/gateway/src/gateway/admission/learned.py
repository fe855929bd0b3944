"""The terms that this gateway knows: the last ones per account, shared between accounts of a plan."""

from typing import Final, TypeVar
from uuid import UUID

from gateway.admission.terms import AccountTerms, digest_of

Key = TypeVar("Key", UUID, str)

MOST_ACCOUNTS: Final = 200_000
MOST_TERMS: Final = 2_000


class LearnedTerms:
    """Bounded; what is forgotten is asked for again."""

    def __init__(self, *, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most_accounts = most_accounts
        self._by_account: dict[UUID, AccountTerms] = {}
        self._by_digest: dict[str, AccountTerms] = {}
        self.find = self._by_account.get

    def learn(self, account_id: UUID, encoded: bytes) -> AccountTerms:
        """Remember what the script says; raises `ValueError` when it cannot be read."""
        digest = digest_of(encoded)
        terms = self._by_digest.get(digest)
        if terms is None:
            terms = AccountTerms.parse(encoded)
            _bound(self._by_digest, MOST_TERMS)
            self._by_digest[digest] = terms
        if account_id not in self._by_account:
            _bound(self._by_account, self._most_accounts)
        self._by_account[account_id] = terms
        return terms


def _bound(known: dict[Key, AccountTerms], most: int) -> None:
    if len(known) >= most:
        del known[next(iter(known))]
