"""The bench beside the routes, where a test needs what an engine would have done."""

from tests.push_blaster.use_cases.conftest import Bench, bench

__all__ = ["Bench", "bench"]
