"""The table `events`, whose partitions are the weeks of the pushes."""

from typing import Final

from chassis.commands.weekly_table import WeeklyTable

#: Events come for a month after their push, so that weeks before the present one fill, too.
EVENTS: Final = WeeklyTable("events", "week", weeks_back=6)
