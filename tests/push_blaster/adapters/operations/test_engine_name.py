"""The id of an engine: no two starts share it."""

import os
import socket

from push_blaster.adapters.operations.engine_table import name_engine


def test_an_engine_that_starts_again_as_the_same_process_has_another_name() -> None:
    first, second = name_engine(), name_engine()

    assert first != second, "as in a container, where host and pid stay the same"
    for name in (first, second):
        assert name.startswith(f"{socket.gethostname()}:{os.getpid()}:")
