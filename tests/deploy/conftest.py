"""push_blaster's database, for what its web tells of it."""

from tests.push_blaster.conftest import database, push_url

__all__ = ["database", "push_url"]
