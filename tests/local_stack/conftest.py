"""The whole system as `make run` starts it, on free ports, with the example installed."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.local_stack.stack import LocalStack, make_stack, stop_whatever


@pytest.fixture(scope="package")
def local_stack(open_folder: Path) -> Iterator[LocalStack]:
    stack = make_stack(open_folder / f"a stack {uuid4().hex}")
    stack.start()
    yield stack
    stop_whatever([stack])
