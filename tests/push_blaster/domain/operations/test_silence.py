"""Who has shown no sign of life, by what the watcher has seen itself."""

from push_blaster.domain.operations.silence import SilenceWatch


def look_every_second(watch: SilenceWatch[str], sign: object, since: int, until: int) -> list[bool]:
    return [bool(watch.look({"engine": sign}, float(at))) for at in range(since, until)]


def test_a_sign_that_stands_still_is_silent_after_its_time() -> None:
    watch = SilenceWatch[str](3)

    assert look_every_second(watch, "9:00", 0, 5) == [False, False, False, True, True]


def test_each_new_sign_gives_the_whole_time_again_even_if_its_clock_went_back() -> None:
    watch = SilenceWatch[str](3)
    look_every_second(watch, "9:00", 0, 3)

    assert look_every_second(watch, "7:00", 3, 7) == [False, False, False, True]


def test_time_in_which_the_watcher_did_not_look_does_not_count() -> None:
    watch = SilenceWatch[str](3)
    look_every_second(watch, "9:00", 0, 2)

    assert look_every_second(watch, "9:00", 3_600, 3_602) == [False, True]


def test_whoever_was_silent_before_the_watch_began_has_the_whole_time() -> None:
    watch = SilenceWatch[str](3)

    assert not watch.look({"engine": "an hour ago"}, 0.0)
    assert watch.knows("engine")
    assert not watch.knows("another")


def test_whoever_was_missing_in_a_look_begins_anew() -> None:
    watch = SilenceWatch[str](3)
    look_every_second(watch, "9:00", 0, 4)
    watch.look({}, 4.0)

    assert look_every_second(watch, "9:00", 5, 8) == [False, False, False]
