"""The SMTP side: takes all mail, and refuses what a test wants refused."""

from collections import Counter

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.mailbox.store import MailStore

_TEMPORARY_FAILURES = 2


class Sink:
    """`bounce@…` is refused for good, `tempfail@…` twice before it is taken; `+tag` may follow either."""

    def __init__(self, store: MailStore) -> None:
        self._store = store
        self._tries: Counter[str] = Counter()

    # aiosmtpd fixes the names and the positional arguments of its hooks.
    async def handle_RCPT(  # noqa: N802, PLR0917
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        name = address.partition("@")[0].partition("+")[0].lower()
        if name == "bounce":
            return "550 5.1.1 The address does not exist"
        if name == "tempfail":
            self._tries[address] += 1
            if self._tries[address] <= _TEMPORARY_FAILURES:
                return "451 4.3.0 Try again later"
            del self._tries[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        assert isinstance(content, bytes)
        mail = self._store.add(content, sender=envelope.mail_from or "", recipients=list(envelope.rcpt_tos))
        return f"250 OK kept as {mail.id}"
