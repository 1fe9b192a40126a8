# description: Users in their first two weeks, by the first thing that they have not done yet.
# category: onboarding
# runtime: 2
# audiences: no_plant_level_1, no_photo_level_2, no_offer_level_3, no_wish_level_4, settled_level_5
# parameter min_hours (integer, default 12): Users who joined later than this get nothing yet.
# parameter max_days (integer, default 14): How many days a user counts as new.
"""Write five audiences. Every new user is in exactly one of them.

Data: the tables in ../data.
"""

import argparse
import csv
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMNS = ["user_id", "first_name", "username", "new_user_level"]
LEVELS = (
    "no-plant-level-1",
    "no-photo-level-2",
    "no-offer-level-3",
    "no-wish-level-4",
    "settled-level-5",
)


def main() -> None:
    """Read the tables, write one live and one TEST file for each level."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default=os.environ.get("OUTPUT_PATH", "."))
    parser.add_argument("--min_hours", type=int, default=12)
    parser.add_argument("--max_days", type=int, default=14)
    arguments = parser.parse_args()
    data = HERE.parent / "data"
    offered = {row["user_id"] for row in read(data / "recent_offers.csv")}
    wished = {row["user_id"] for row in read(data / "recent_wishes.csv")}
    levels: list[list[dict[str, str]]] = [[] for _ in LEVELS]
    for user in read(data / "users.csv"):
        joined = int(user["joined_hours_ago"])
        if arguments.min_hours <= joined <= arguments.max_days * 24:
            level = find_level(user, offered, wished)
            levels[level].append({**user, "new_user_level": str(level + 1)})
    for name, rows in zip(LEVELS, levels, strict=True):
        write(Path(arguments.output_dir) / f"{name}.csv", rows)
        write(Path(arguments.output_dir) / f"{name}-test.csv", rows[:1])
        print(f"{name}: {len(rows)} users")


def find_level(user: dict[str, str], offered: set[str], wished: set[str]) -> int:
    """Return the number of the first thing that the user has not done."""
    done = [
        user["has_plant"] == "1",
        user["has_photo"] == "1",
        user["user_id"] in offered,
        user["user_id"] in wished,
    ]
    return done.index(False) if False in done else len(done)


def read(path: Path) -> list[dict[str, str]]:
    """Return a table's rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Write an audience."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
