"""Commands that delete old data refuse to delete an implausible part of it.

A wrong date, or a retention with a digit too few, would otherwise delete nearly everything.
"""

import click

yes_remove = click.option(
    "--yes-remove",
    type=click.IntRange(min=0),
    metavar="N",
    help="Remove up to N, although it is more than half of what is kept.",
)


def require_plausible(removed: int, of: int, what: str, *, few: int, yes: int | None) -> None:
    """Refuse to remove more than half, and more than `few`, unless the operator allowed it.

    Raises: click.ClickException.
    """
    if removed > max(few, of // 2, yes or 0):
        raise click.ClickException(
            f"Nothing was removed: {removed} of {of} {what} would go, which is more than half. "
            "Check the date of the database and the retention. If both are right, repeat the "
            f"command with --yes-remove {removed}."
        )
