"""Each trap in `docs/traps.md` names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_every_trap_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "traps.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 13))
    assert all("::test_" in row for row in rows)
    for file, test in re.findall(r"`([\w/.]+)::(test_\w+)`", text):
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"
