"""The mailbox, judged with the standard library's SMTP client."""

import smtplib
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest

from sandbox.fixtures_outside import Mailbox, outside_process


def mail(*, to: str, subject: str = "Welcome", text: str = "Hello", html: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Faregate <no-reply@faregate.test>", to, subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def send(port: int, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.send_message(message)


@pytest.fixture
def empty(mailbox: Mailbox) -> Mailbox:
    mailbox.clear()
    return mailbox


def test_a_mail_can_be_listed_and_read_as_json(empty: Mailbox):
    send(empty.smtp_port, mail(to="ann@example.test", text="Grüße, 世界\n", html="<b>Grüße</b>"))

    [listed] = empty.messages()
    read = empty.message(listed["id"])

    assert listed["to"] == ["ann@example.test"]
    assert listed["from"] == "no-reply@faregate.test"
    assert listed["subject"] == "Welcome"
    assert listed["received_at"].endswith("Z")
    assert read["text"] == "Grüße, 世界\n"
    assert read["html"].strip() == "<b>Grüße</b>"
    assert read["headers"]["From"] == "Faregate <no-reply@faregate.test>"


def test_the_list_is_newest_first_and_can_be_narrowed_to_a_recipient_and_a_count(empty: Mailbox):
    for to in ("ann@example.test", "bob@example.test", "ann@example.test"):
        send(empty.smtp_port, mail(to=to, subject=f"to {to} {len(empty.messages())}"))

    assert [found["subject"][-1] for found in empty.messages()] == ["2", "1", "0"]
    assert [found["subject"][-1] for found in empty.messages(to="ANN@example.test")] == ["2", "0"]
    assert len(empty.messages(limit=1)) == 1


def test_the_mails_can_be_deleted(empty: Mailbox):
    send(empty.smtp_port, mail(to="ann@example.test"))

    empty.clear()

    assert empty.messages() == []
    assert "No mail yet" in httpx2.get(empty.http_url).text


def test_the_pages_escape_what_a_mail_says_and_frame_its_html(empty: Mailbox):
    evil = "<script>alert(1)</script>"
    send(empty.smtp_port, mail(to="ann@example.test", subject=f"Hi {evil}", text=f"{evil} see", html=f"<p>{evil}</p>"))
    [listed] = empty.messages()

    front = httpx2.get(empty.http_url)
    page = httpx2.get(f"{empty.http_url}/messages/{listed['id']}")

    assert "<script" not in front.text + page.text
    assert "ann@example.test" in front.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "&lt;p&gt;&lt;script&gt;" in page.text


def test_an_address_in_a_text_becomes_a_link(empty: Mailbox):
    send(empty.smtp_port, mail(to="ann@example.test", text="Open https://example.test/verify?a=1&b=2.\n"))
    [listed] = empty.messages()

    page = httpx2.get(f"{empty.http_url}/messages/{listed['id']}").text

    assert '<a href="https://example.test/verify?a=1&amp;b=2" rel="noreferrer">' in page


def test_an_unknown_mail_is_not_found(empty: Mailbox):
    assert httpx2.get(f"{empty.http_url}/messages/nothing").status_code == 404
    assert httpx2.get(f"{empty.http_url}/api/messages/nothing").status_code == 404


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many"])
def test_a_limit_out_of_bounds_is_refused(empty: Mailbox, limit: str):
    assert httpx2.get(f"{empty.http_url}/api/messages", params={"limit": limit}).status_code == 400


def test_a_bouncing_address_is_refused_for_good(empty: Mailbox):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(empty.smtp_port, mail(to="bounce@example.test"))

    assert refused.value.recipients["bounce@example.test"][0] == 550
    assert empty.messages() == []


def test_a_failing_address_is_taken_at_the_third_try(empty: Mailbox):
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(empty.smtp_port, mail(to="tempfail+third@example.test"))
        assert refused.value.recipients["tempfail+third@example.test"][0] == 451

    send(empty.smtp_port, mail(to="tempfail+third@example.test"))

    assert len(empty.messages(to="tempfail+third@example.test")) == 1


def test_mails_outlive_the_process_when_a_folder_is_given(tmp_path: Path):
    ports = ("sandbox.mailbox", "--smtp-port", "0", "--http-port", "0", "--state", str(tmp_path / "mails"))
    with outside_process(*ports) as (smtp, _):
        send(int(smtp.rpartition(":")[2]), mail(to="ann@example.test", subject="Kept"))

    with outside_process(*ports) as (_, http):
        found = httpx2.get(f"{http}/api/messages").json()["messages"]
        httpx2.delete(f"{http}/api/messages")

    assert [one["subject"] for one in found] == ["Kept"]
    assert list((tmp_path / "mails").iterdir()) == []


def test_a_mail_without_a_usable_charset_is_still_shown(empty: Mailbox):
    head = b"Subject: odd\r\nContent-Type: text/plain; charset=klingon\r\nContent-Transfer-Encoding: 8bit\r\n"
    with smtplib.SMTP("127.0.0.1", empty.smtp_port, timeout=5) as client:
        client.sendmail("a@example.test", ["ann@example.test"], head + b"\r\nna\xefve\r\n")

    [listed] = empty.messages()

    assert empty.message(listed["id"])["text"].startswith("na")
    assert httpx2.get(f"{empty.http_url}/messages/{listed['id']}").status_code == 200


def test_a_taken_port_is_named(empty: Mailbox):
    command = [sys.executable, "-m", "sandbox.mailbox", "--http-port", "0", "--smtp-port", str(empty.smtp_port)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 1
    assert f"127.0.0.1:{empty.smtp_port}" in ended.stderr
