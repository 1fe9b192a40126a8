"""The memory of an engine."""

import gc
import weakref

from push_blaster.memory import tidy


class _Knot:
    def __init__(self) -> None:
        self.itself = self


def test_what_only_a_cycle_keeps_goes_when_memory_is_tidied() -> None:
    gc.disable()
    try:
        knot = _Knot()
        seen = weakref.ref(knot)
        del knot
        assert seen() is not None
        tidy()
    finally:
        gc.enable()

    assert seen() is None
