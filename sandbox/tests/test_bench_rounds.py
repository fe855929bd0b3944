"""What the benchmark makes of its rounds: the middle one of each figure, beside nginx and beside a bare paid call."""

from pathlib import Path

import pytest

from sandbox.bench.figures import Figure, interpreter, report
from sandbox.bench.gateway import Beside, Run, beside_bare, compared

SLOW_MOMENT = Beside(Run(2_000, 300), Run(40_000, 20), Run(4_000, 100))
USUAL = Beside(Run(4_000, 150), Run(40_000, 20), Run(5_000, 120))
LUCKY = Beside(Run(5_000, 100), Run(30_000, 25), Run(4_000, 160))
ROUNDS = [SLOW_MOMENT, LUCKY, USUAL]


def test_beside_nginx_the_middle_round_is_told_and_its_must_is_kept() -> None:
    rate, cost = compared("json", ROUNDS, tls=False)

    assert (rate.value, rate.ratio, rate.holds) == (4_000, 0.1, False)
    assert (cost.value, cost.ratio, cost.holds) == (150, 7.5, False)
    assert "nginx 40,000 calls/s" in rate.against


def test_beside_the_bare_call_the_middle_round_is_told_with_what_that_is_of_nginx() -> None:
    rate, cost = beside_bare("json", ROUNDS)

    assert (rate.ratio, rate.must, rate.holds) == (0.8, ">= 0.79", True)
    assert (cost.ratio, cost.must, cost.holds) == (1.25, "<= 1.32", True)
    assert cost.against == "bare call 120.0 us, 6.0 times nginx"


def test_of_tls_and_of_the_cpu_of_streamed_answers_nothing_is_asked() -> None:
    assert [figure.must for figure in compared("json", ROUNDS, tls=True)] == [None, None]
    assert [figure.must for figure in beside_bare("stream", ROUNDS)] == [">= 0.733", None]


def test_without_nginx_there_is_no_ratio_to_it_but_one_to_the_bare_call() -> None:
    rounds = [Beside(one.ours, None, one.bare) for one in ROUNDS]

    assert [figure.ratio for figure in compared("json", rounds, tls=False)] == [None, None]
    assert [figure.against for figure in beside_bare("json", rounds)] == [
        "bare call 5,000 calls/s",
        "bare call 120.0 us",
    ]


def test_the_table_says_how_the_interpreter_was_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report([Figure("any", 1.0, "us", "nothing")], tmp_path / "bench.json")

    assert interpreter() in " ".join(capsys.readouterr().out.split())
    assert "PGO" in interpreter()
