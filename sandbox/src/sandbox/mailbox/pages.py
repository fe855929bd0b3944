"""The mailbox as pages for people; whatever a mail says is escaped."""

import re
from collections.abc import Sequence
from html import escape

from sandbox.mailbox.store import Mail

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #1a66c2 }
@media (prefers-color-scheme: dark) { :root { --link: #7db4ff } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem }
header { display: flex; gap: 1rem; align-items: baseline; border-bottom: 1px solid var(--line); margin-bottom: 1.5rem }
h1 { font-size: 1.3rem; margin: 0 0 .7rem }
h2 { font-size: 1.2rem; margin: 0 0 1rem; overflow-wrap: anywhere }
a { color: var(--link) }
.quiet { opacity: .7; font-size: .9rem }
table { width: 100%; border-collapse: collapse }
th, td { text-align: left; padding: .5rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere }
tbody tr:hover { background: var(--soft) }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0 0 1.5rem }
dt { opacity: .7 } dd { margin: 0; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); border: 1px solid var(--line);
  border-radius: 8px; padding: 1rem; font: 15px/1.6 ui-monospace, monospace }
iframe { width: 100%; height: 32rem; border: 1px solid var(--line); border-radius: 8px; background: #fff }
"""
_ADDRESS = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")


def list_page(mails: Sequence[Mail]) -> str:
    if not mails:
        return _page("Mailbox", '<p class="quiet">No mail yet. This page does not reload by itself.</p>')
    rows = "".join(_row(mail) for mail in mails)
    head = "<tr><th>Received (UTC)</th><th>To</th><th>Subject</th></tr>"
    return _page("Mailbox", f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>")


def mail_page(mail: Mail) -> str:
    facts = {
        "From": str(mail.message.get("From", mail.sender)),
        "To": ", ".join(mail.recipients),
        "Received": mail.received_at,
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    parts = [f"<h2>{escape(mail.subject) or '(no subject)'}</h2><dl>{rows}</dl>"]
    if mail.html is not None:
        parts.append(f"<h3>HTML</h3>{_framed(mail.html)}")
    if mail.text is not None:
        parts.append(f"<h3>Text</h3><pre>{_linked(mail.text)}</pre>")
    lines = "\n".join(f"{name}: {value}" for name, value in mail.headers())
    parts.append(f"<details><summary>Headers</summary><pre>{escape(lines)}</pre></details>")
    return _page(mail.subject or "Mail", "".join(parts), back='<a href="/">All mail</a>')


def missing_page() -> str:
    return _page("Not here", "<p>There is no such mail; it may have been deleted.</p>", back='<a href="/">All mail</a>')


def _row(mail: Mail) -> str:
    time = mail.received_at[:19].replace("T", " ")
    subject = escape(mail.subject) or "(no subject)"
    link = f'<a href="/messages/{escape(mail.id)}">{subject}</a>'
    return f'<tr><td class="time">{time}</td><td>{escape(", ".join(mail.recipients))}</td><td>{link}</td></tr>'


def _framed(html: str) -> str:
    """A mail's own HTML in a frame without scripts, forms or an origin; its links open beside it."""
    inner = escape(f'<base target="_blank">{html}', quote=True)
    allowed = "allow-popups allow-popups-to-escape-sandbox"
    return f'<iframe title="The mail" sandbox="{allowed}" referrerpolicy="no-referrer" srcdoc="{inner}"></iframe>'


def _linked(text: str) -> str:
    parts, end = [], 0
    for match in _ADDRESS.finditer(text):
        address = escape(match.group(), quote=True)
        parts += [escape(text[end : match.start()]), f'<a href="{address}" rel="noreferrer">{address}</a>']
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def _page(title: str, body: str, *, back: str = "") -> str:
    note = '<span class="quiet">Faregate sandbox: no mail leaves this machine</span>'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><header><h1>Mailbox</h1>{note}{back}</header><main>{body}</main></body></html>"
    )
