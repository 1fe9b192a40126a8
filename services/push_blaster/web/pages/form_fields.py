"""Texts of a form as the values that they stand for."""


def read_number(given: str) -> int | float | str:
    """Return a number; what is none stays as it was typed, so that its field can say so."""
    try:
        return int(given) if given.lstrip("-").isdigit() else float(given)
    except ValueError:
        return given
