"""A library that says the same again and again is heard once in a while."""

import logging

from kit.logging import OnceInAWhile


def test_a_message_of_a_library_is_let_through_once_in_ten_seconds_with_its_count() -> None:
    now = 0.0
    heard = OnceInAWhile("noisy", seconds=lambda: now)

    def say(name: str, text: str, *arguments: object) -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "f.py", 1, text, arguments, None)
        return record.getMessage() if heard.filter(record) else None

    assert say("noisy.client", "node %s is away", 1) == "node 1 is away"
    assert say("noisy.client", "node %s is away", 2) is None
    assert say("noisy.client", "another") == "another"
    assert [say("own", "node %s is away", number) for number in (1, 2)] == ["node 1 is away", "node 2 is away"]
    now = 10.0
    assert say("noisy.client", "node %s is away", 3) == "node 3 is away (and 1 more like it)"
    now = 20.0
    assert say("noisy.client", "node %s is away", 4) == "node 4 is away"
