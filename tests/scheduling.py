"""How tests are spread over the workers: groups together, every other test by itself."""

from xdist.scheduler import LoadScopeScheduling

from tests.markers import find_group


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Give each worker the next group or test, in their order.

    The marker `xdist_group` is not used: pytest 9.2 ignores it.
    """

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid.partition("::")[0]) or nodeid
