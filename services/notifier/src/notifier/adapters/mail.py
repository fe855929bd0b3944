"""Mail over SMTP: one connection per mail, every wait bounded, every refusal told apart."""

import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final

import aiosmtplib

from notifier.adapters.rendering import Rendered
from notifier.errors import AddressRefusedError, PermanentError, TemporaryError

_ENHANCED_CODE: Final = re.compile(r"^[245]\.\d{1,3}\.\d{1,3}\b", re.ASCII)
_NO_SUCH_ADDRESS: Final = frozenset({550, 551, 553})
_ADDRESS: Final = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where mail is handed over, and as whom. `starttls` None takes TLS when the server offers it."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = None
    starttls: bool | None = None
    timeout_s: float = 10.0


class Mailer:
    """Hands mails to the SMTP server."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._name, self._address = parseaddr(server.sender)
        self._domain = self._address.rpartition("@")[2]

    async def send(
        self,
        mail: Rendered,
        *,
        to: str,
        message_id: str,
        kind: str,
        now: datetime,
        unsubscribe_url: str | None = None,
    ) -> None:
        """Hand one mail over; raises `TemporaryError` or `PermanentError`, whose reason names no address.

        `message_id` is the same in every attempt, so that a mail handed over twice is recognisable.
        """
        message = self._message(mail, to=to, message_id=message_id, kind=kind, now=now)
        if unsubscribe_url is not None:
            message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        server = self._server
        try:
            async with aiosmtplib.SMTP(
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                start_tls=server.starttls,
                timeout=server.timeout_s,
                local_hostname=self._domain,
            ) as smtp:
                await smtp.send_message(message, sender=self._address, recipients=[to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _recipient_refused(error.recipients[0]) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refused("the message", error) from None
        except aiosmtplib.SMTPResponseException as error:
            # Log-in, greeting or sender: that is about us and not about this mail, and can be put right.
            raise TemporaryError(f"the mail server refused us ({_codes(error)})") from None
        except aiosmtplib.SMTPNotSupported:
            raise PermanentError("the mail server cannot do what this mail needs") from None
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError, TimeoutError) as error:
            raise TemporaryError(f"the mail server does not answer: {type(error).__name__}") from None

    def _message(self, mail: Rendered, *, to: str, message_id: str, kind: str, now: datetime) -> EmailMessage:
        if _ADDRESS.fullmatch(to) is None:
            raise PermanentError("the address cannot be mailed")
        message = EmailMessage(policy=SMTP_POLICY)
        try:
            message["From"] = Address(self._name, addr_spec=self._address)
            message["To"] = Address(addr_spec=to)
        except (MessageError, ValueError, IndexError):
            raise PermanentError("the address cannot be mailed") from None
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{message_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Faregate-Kind"] = kind
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _recipient_refused(error: aiosmtplib.SMTPRecipientRefused) -> PermanentError | TemporaryError:
    """A refusal for policy or a full mailbox says nothing about whether the address exists."""
    refused, enhanced = _refused("the recipient", error), _ENHANCED_CODE.match(error.message)
    gone = enhanced.group().startswith(("5.1.", "5.2.1")) if enhanced else error.code in _NO_SUCH_ADDRESS
    return AddressRefusedError(refused.reason) if gone and isinstance(refused, PermanentError) else refused


def _refused(what: str, error: aiosmtplib.SMTPResponseException) -> PermanentError | TemporaryError:
    kind = PermanentError if 500 <= error.code < 600 else TemporaryError
    return kind(f"the mail server refused {what} ({_codes(error)})")


def _codes(error: aiosmtplib.SMTPResponseException) -> str:
    """The server's codes; its words are left out, for they often repeat the address."""
    enhanced = _ENHANCED_CODE.match(error.message)
    return f"{error.code} {enhanced.group()}" if enhanced else str(error.code)
