"""What a callback throws reaches its owner and the log, without what it says."""

import structlog

from kit.guard import guarded


def test_what_is_thrown_is_handed_on_and_recorded_by_kind_and_place_only():
    caught: list[Exception] = []

    def fail(argument: str) -> None:
        raise ValueError(argument)

    with structlog.testing.capture_logs() as logged:
        guarded(fail, "a prompt", otherwise=caught.append)

    assert [str(error) for error in caught] == ["a prompt"]
    (entry,) = logged
    assert entry["kind"] == "ValueError"
    assert __name__.rpartition(".")[2] in entry["place"]
    assert "prompt" not in str(entry)


def test_what_succeeds_is_left_alone():
    caught: list[Exception] = []
    done: list[int] = []

    guarded(done.append, 1, otherwise=caught.append)

    assert done == [1]
    assert caught == []
