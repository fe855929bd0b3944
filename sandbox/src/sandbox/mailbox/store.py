"""Mails as they came, in memory and, when a folder is given, on disk."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any

_ENVELOPE = b"X-Sandbox-Envelope: "


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Mail:
    """One mail, with the sender and recipients that SMTP named."""

    id: str
    raw: bytes = field(repr=False)

    @cached_property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """What SMTP said, which stands in front of the mail's own headers."""
        first, _, _ = self.raw.partition(b"\r\n")
        found: dict[str, Any] = json.loads(first.removeprefix(_ENVELOPE))
        return found

    @property
    def sender(self) -> str:
        return str(self.envelope["from"])

    @property
    def recipients(self) -> list[str]:
        return [str(address) for address in self.envelope["to"]]

    @property
    def subject(self) -> str:
        return str(self.message.get("Subject", ""))

    @property
    def received_at(self) -> str:
        millis = int(self.id.partition("-")[0])
        return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def text(self) -> str | None:
        return self._body("plain")

    @property
    def html(self) -> str | None:
        return self._body("html")

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "from": self.sender,
            "to": self.recipients,
            "subject": self.subject,
            "received_at": self.received_at,
        }

    def details(self) -> dict[str, Any]:
        return {**self.summary(), "text": self.text, "html": self.html, "headers": dict(self.headers())}

    def headers(self) -> Iterator[tuple[str, str]]:
        return ((name, str(value)) for name, value in self.message.items() if not name.startswith("X-Sandbox-"))

    def _body(self, kind: str) -> str | None:
        part = self.message.get_body((kind,))
        if part is None:
            return None
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return ""
        try:
            return payload.decode(part.get_content_charset("utf-8"), "replace").replace("\r\n", "\n")
        except LookupError:
            return payload.decode("utf-8", "replace")


class MailStore:
    """All mails, oldest first; those of an earlier run are read again from the folder."""

    def __init__(self, folder: Path | None = None, *, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._now = now
        self._mails: dict[str, Mail] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.eml")):
                self._mails[path.stem] = Mail(path.stem, path.read_bytes())

    def add(self, content: bytes, *, sender: str, recipients: list[str]) -> Mail:
        envelope = _ENVELOPE + json.dumps({"from": sender, "to": recipients}).encode() + b"\r\n"
        mail_id = f"{int(self._now().timestamp() * 1000):013d}-{secrets.token_hex(4)}"
        mail = Mail(mail_id, envelope + content)
        if self._folder is not None:
            half_written = self._folder / f"{mail.id}.part"
            half_written.write_bytes(mail.raw)
            half_written.replace(self._path(mail.id))
        self._mails[mail.id] = mail
        return mail

    def find(self, mail_id: str) -> Mail | None:
        return self._mails.get(mail_id)

    def newest(self, *, to: str | None = None, limit: int) -> list[Mail]:
        found = (mail for mail in reversed(self._mails.values()) if to is None or _is_for(mail, to))
        return [mail for mail, _ in zip(found, range(limit), strict=False)]

    def clear(self) -> int:
        count = len(self._mails)
        for mail_id in self._mails:
            if self._folder is not None:
                self._path(mail_id).unlink(missing_ok=True)
        self._mails.clear()
        return count

    def _path(self, mail_id: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{mail_id}.eml"


def _is_for(mail: Mail, address: str) -> bool:
    return address.casefold() in (recipient.casefold() for recipient in mail.recipients)
