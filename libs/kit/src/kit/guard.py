"""Callbacks that must not throw into the event loop."""

from collections.abc import Callable
from typing import TypeVar

from kit import logging

log = logging.get(__name__)

T = TypeVar("T")


def guarded(call: Callable[[T], None], argument: T, *, otherwise: Callable[[Exception], None]) -> None:
    """Call; whatever is thrown is recorded, by kind and place only, and handed to `otherwise`."""
    try:
        call(argument)
    except Exception as error:  # noqa: BLE001  # the loop would only drop the connection
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}" if at is not None else ""
        # No traceback: its last lines may quote what a customer sent.
        log.error("kit.callback_failed", kind=type(error).__name__, place=place)  # noqa: TRY400  # see above
        otherwise(error)
