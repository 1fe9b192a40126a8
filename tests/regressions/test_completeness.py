"""Every defect of the original and every trap of its peers has a test that is named after it."""

import re
from pathlib import Path

TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

TRAPS = {
    "a_lock_that_goes_stale_within_a_run",
    "a_checkpoint_moved_when_work_is_fetched",
    "a_rate_counted_by_the_minute_of_the_hour",
    "a_cap_that_is_read_first_and_raised_afterwards",
    "a_lease_written_in_local_time",
    "a_zero_read_as_a_limit",
    "a_stop_that_forgets_what_waits_for_its_turn",
    "a_redirect_taken_for_success",
    "a_scheduler_in_every_web_worker",
    "an_edit_of_a_live_run_that_sends_it_again",
    "a_cap_that_is_reset_at_midnight",
    "a_push_over_the_cap_that_comes_weeks_later",
    "a_memory_of_one_day",
    "quiet_hours_at_a_fixed_offset_from_utc",
    "one_users_zone_that_is_none_and_stops_all",
}


def test_each_of_the_42_defects_has_a_test() -> None:
    tested = {int(number) for number in re.findall(r"\ndef test_defect_(\d\d)_\w", TESTS)}

    assert tested == set(range(1, 43))


def test_each_trap_has_a_test() -> None:
    assert set(re.findall(r"\ndef test_trap_(\w+)\(", TESTS)) == TRAPS
