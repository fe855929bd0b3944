import re
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_every_test_that_the_security_page_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text()))
    folders = [*ROOT.glob("services/*/tests"), *ROOT.glob("libs/*/tests"), ROOT / "tests"]
    tests = [one.read_text() for folder in folders for one in folder.rglob("test_*.py")]
    written = set(re.findall(r"def (test_\w+)\(", "\n".join(tests)))

    assert len(named) > 40
    assert named - written == set()


def test_every_item_of_the_security_page_names_a_test():
    lines = (ROOT / "docs" / "security.md").read_text().splitlines()
    items = [line for line in lines if re.match(r"\| [(\d]", line)]

    assert len(items) > 50
    assert [line for line in items if not re.search(r"`test_\w+`", line.split("|")[4])] == []
