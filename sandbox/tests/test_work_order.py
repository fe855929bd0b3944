"""Which tests one worker runs from the first to the last."""

from pathlib import Path

import pytest

from sandbox.work_order import OF_THEIR_OWN, SHARERS, unit_of

ROOT = Path(__file__).parents[2]


def test_files_that_share_the_product_are_one_piece_of_work() -> None:
    assert unit_of(SHARERS / "test_faults.py") == unit_of(SHARERS / "test_the_story.py") == SHARERS


@pytest.mark.parametrize("path", [SHARERS / OF_THEIR_OWN[0], Path("sandbox/tests/test_stack.py")])
def test_every_other_file_is_one_of_its_own(path: Path) -> None:
    assert unit_of(path) == path


def test_files_with_servers_of_their_own_are_there() -> None:
    assert [name for name in OF_THEIR_OWN if not (ROOT / SHARERS / name).exists()] == []
