"""Audience scripts that the tests run."""

#: Writes one CSV an audience: PARAM_USERS users from PARAM_FIRST on, after PARAM_SLEEP seconds.
SCRIPT = """
import csv, os, time, uuid
first, users = int(os.environ["PARAM_FIRST"]), int(os.environ["PARAM_USERS"])
token = os.environ.get("PARAM_TOKEN", "token")
time.sleep(float(os.environ.get("PARAM_SLEEP", "0")))
for audience in os.environ.get("PARAM_AUDIENCES", "everybody").split():
    with open(os.path.join(os.environ["OUTPUT_PATH"], audience + ".csv"), "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["user_id", "first_name", "device_token"])
        for n in range(first, first + users):
            table.writerow([uuid.UUID(int=n), f"Name {n}", f"{token}-{n}"])
print("wrote", users)
"""


def a_script(*rows: str, header: str = "user_id,first_name,device_token") -> str:
    """Return a script that writes one CSV of these rows."""
    text = "\n".join([header, *rows]) + "\n"
    return f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({text!r})"


#: Writes PARAM_EACH users, one zone after the other, for each of PARAM_ZONES; "-" is none.
ZONES = """
import csv, os, uuid
each = int(os.environ.get("PARAM_EACH", "1"))
with open(os.path.join(os.environ["OUTPUT_PATH"], "everybody.csv"), "w", newline="") as f:
    table = csv.writer(f)
    table.writerow(["user_id", "first_name", "device_token", "timezone"])
    zones = os.environ["PARAM_ZONES"].split() * each
    for n, zone in enumerate(zones, start=1):
        table.writerow([uuid.UUID(int=n), f"Name {n}", f"token-{n}", "" if zone == "-" else zone])
"""

#: Says that it has begun, and then runs until it is ended.
HANGING = "import time\nprint('begun', flush=True)\ntime.sleep(60)"

#: The journeys' script, which also notes each of its runs beside itself.
COUNTING_SCRIPT = f"""
import os
with open(os.path.join(os.environ["SCRIPT_FOLDER"], "runs.txt"), "a") as runs:
    runs.write(os.environ["EXECUTION_ID"] + "\\n")
{SCRIPT}
"""
