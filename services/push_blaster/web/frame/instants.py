"""The zone in which the reader of a page thinks of days."""

from push_blaster.web.frame.page_times import read_times


def reader_zone() -> str:
    """Return the zone in which the reader of a page thinks of days."""
    return read_times().zone.key
