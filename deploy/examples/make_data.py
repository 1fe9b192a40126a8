"""Write data/*.csv: the invented users of an invented garden app, the same at every run."""

import csv
import random
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
USERS = 2_400
FIRST_NAMES = """
    Ada Ben Cora Dilip Elif Femi Greta Hana Ivo Jun Kaya Lena Milo Nia Omar Pia Quinn Rosa Sami
    Tove Uma Vito Wanda Xenia Yuki Zoe
""".split()  # noqa: SIM905 - a list of names reads best as text
PLANTS = [
    "Monstera",
    "Basil",
    "Lavender",
    "Tomato 'Sunrise'",
    "Fig tree",
    "Orchid",
    "Aloe vera",
    "Sunflower",
    "Peace lily",
    'Chili "Little Devil"',
    "Hydrangea",
    "Rosemary",
]


def main() -> None:
    """Write every table."""
    chance = random.Random(20_261_124)  # noqa: S311 - made-up people
    users = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(USERS)]
    write(
        "users.csv",
        ["user_id", "first_name", "username", "joined_hours_ago", "has_photo", "has_plant"],
        (user_row(chance, user) for user in users),
    )
    write(
        "devices.csv",
        ["user_id", "token", "platform"],
        (
            [user, f"tok-{chance.getrandbits(96):024x}", chance.choice(["android", "ios", "web"])]
            for user in users
            if chance.random() < 0.93
        ),
    )
    for name, share in (("offers", 0.28), ("shelf", 0.30), ("wishes", 0.34)):
        write(
            f"recent_{name}.csv",
            ["user_id", "plant", "hours_ago", "interested"],
            activity(chance, users, share),
        )


def user_row(chance: random.Random, user: str) -> list[object]:
    """Return one user; hours, not instants, so that the example never grows old."""
    name = chance.choice(FIRST_NAMES)
    is_new = chance.random() < 0.25
    joined = chance.randint(12, 14 * 24) if is_new else chance.randint(15 * 24, 700 * 24)
    shown_name = name if chance.random() < 0.95 else ""
    username = f"{name.lower()}{chance.randint(1, 999)}"
    return [
        user,
        shown_name,
        username,
        joined,
        int(chance.random() < 0.6),
        int(chance.random() < 0.7),
    ]


def activity(chance: random.Random, users: Sequence[str], share: float) -> Iterable[list[object]]:
    """Yield who did something with which plant, how many hours ago, and how many others did."""
    for user in users:
        if chance.random() < share:
            yield [user, chance.choice(PLANTS), chance.randint(1, 72), chance.randint(0, 12)]


def write(name: str, header: list[str], rows: Iterable[list[object]]) -> None:
    """Write one table."""
    with (FOLDER / name).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


if __name__ == "__main__":
    main()
