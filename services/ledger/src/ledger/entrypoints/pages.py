"""The statement as a page to print: no script, nothing loaded from elsewhere."""

from html import escape
from typing import Final

from ledger.schemas.statements import StatementAnswer, UnitMoved

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }
table { width: 100%; border-collapse: collapse; margin: 0 0 1.5rem }
caption { text-align: left; font-weight: 600; padding: .5rem 0 }
th, td { text-align: left; font-weight: normal; padding: .3rem .25rem; border-bottom: 1px solid #ccc }
td { text-align: right; font-variant-numeric: tabular-nums }
.sum th, .sum td { font-weight: 600 }
@media print { body { margin: 0; max-width: none } }
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Statement {period}</title><style>{style}</style></head>
<body>
<h1>Statement {period}</h1>
<p>Account {account}<br>{starts} to {ends} (UTC), {state}.</p>
{units}
<p>Debt at the end: {debt} credits. Overage of the period, billed separately: {overage} credits.</p>
</body>
</html>
"""


def statement_page(statement: StatementAnswer) -> str:
    """Every value is escaped."""
    return _PAGE.format(
        style=_STYLE,
        period=escape(statement.period),
        account=escape(str(statement.account_id)),
        starts=statement.starts_at.date().isoformat(),
        ends=statement.ends_at.date().isoformat(),
        state="closed" if statement.closed else "not closed yet: figures may change",
        units="\n".join(_table(unit) for unit in statement.units),
        debt=escape(statement.debt_credits),
        overage=escape(statement.overage_credits),
    )


def _table(unit: UnitMoved) -> str:
    rows = [_row("Opening balance", unit.opening, is_sum=True)]
    rows += [_row(movement.type.replace("_", " ").capitalize(), movement.amount) for movement in unit.movements]
    rows.append(_row("Closing balance", unit.closing, is_sum=True))
    return f"<table><caption>{escape(unit.unit.capitalize())}s</caption><tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, amount: str, *, is_sum: bool = False) -> str:
    kind = ' class="sum"' if is_sum else ""
    return f'<tr{kind}><th scope="row">{escape(name)}</th><td>{escape(amount)}</td></tr>'
