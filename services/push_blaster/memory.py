"""The memory of an engine: reference cycles are looked for rarely, and free memory goes back."""

import ctypes
import gc


def tune_collector() -> None:
    """Look for reference cycles rarely: messages form none, and looking takes time."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def tidy() -> None:
    """Remove what only cycles keep, and give the memory that is free back to the system.

    An engine that sends little would otherwise keep cycles for an hour, and the C library keeps
    what was freed between them: half of the memory of the process.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim:
        trim(0)
