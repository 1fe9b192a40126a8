# description: Users of the garden app who were active in the last 48 hours, by what they did.
# category: behaviour
# runtime: 2
# audience recent_offerers: Users who offered a plant.
# audience recent_planters: Users who put a plant on the shelf, and offered none.
# audience recent_wishers: Users who wished for a plant, and did neither of these.
# parameter lookback_hours (integer, default 48, at least 1, at most 720): How far to look back.
"""Write three audiences. A user is in the first one that fits: offers, then shelf, then wishes.

Data: the tables in ../data, beside the scripts folder.
"""

import argparse
import csv
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMNS = ["user_id", "first_name", "username", "plant", "interested"]
AUDIENCES = (
    ("recent-offerers", "recent_offers.csv"),
    ("recent-planters", "recent_shelf.csv"),
    ("recent-wishers", "recent_wishes.csv"),
)


def main() -> None:
    """Read the tables, write one live and one TEST file for each audience."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default=os.environ.get("OUTPUT_PATH", "."))
    parser.add_argument("--lookback_hours", type=int, default=48)
    arguments = parser.parse_args()
    data = HERE.parent / "data"
    users = {row["user_id"]: row for row in read(data / "users.csv")}
    taken: set[str] = set()
    for audience, table in AUDIENCES:
        rows = []
        for event in read(data / table):
            user = users[event["user_id"]]
            is_recent = int(event["hours_ago"]) <= arguments.lookback_hours
            if is_recent and user["user_id"] not in taken:
                taken.add(user["user_id"])
                rows.append({**user, "plant": event["plant"], "interested": event["interested"]})
        write(Path(arguments.output_dir) / f"{audience}.csv", rows)
        write(Path(arguments.output_dir) / f"{audience}_TEST.csv", rows[:1])
        print(f"{audience}: {len(rows)} users")


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
