"""One PostgreSQL for each test process, and what every test folder may use."""

from collections.abc import Iterator

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres

#: Tests may lose their data in a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with run_postgres(tmp_path_factory.mktemp("postgres"), FAST) as server:
        yield server
