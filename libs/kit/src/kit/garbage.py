"""Python's garbage collector, told what our processes do."""

import gc


def collect_seldom() -> None:
    """For work in batches: each makes tens of thousands of objects that die together and hold no cycles.

    The usual thresholds walk the whole heap several times per batch, a quarter of the time that booking takes.
    """
    gc.freeze()
    gc.set_threshold(500_000, 50, 100)


def leave_out_what_stays() -> None:
    """Before serving: what importing and building made lives as long as the process.

    A full collection walks some hundred thousand such objects, and nobody is answered meanwhile.
    """
    gc.collect()
    gc.freeze()
