"""Python's garbage collector and the C library's memory, told what our processes do."""

import ctypes
import gc
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Names of `malloc.h`."""
_KEPT_BYTES: Final = 128 << 20
_LARGEST_KEPT_BYTES: Final = 32 << 20


def collect_seldom() -> None:
    """For work in batches: each makes tens of thousands of objects that die together and hold no cycles.

    The usual thresholds walk the whole heap several times per batch, a quarter of the time that booking takes.
    """
    gc.freeze()
    gc.set_threshold(1_000_000, 50, 100)


def leave_out_what_stays() -> None:
    """Before serving: what importing and building made lives as long as the process.

    A full collection walks some hundred thousand such objects, and nobody is answered meanwhile.
    """
    gc.collect()
    gc.freeze()


def keep_freed_memory() -> None:
    """For work in batches: what one frees, the next one needs.

    glibc would give it back to the kernel, which then finds and clears each page anew: half of the time that it takes
    to write down a few thousand events. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
