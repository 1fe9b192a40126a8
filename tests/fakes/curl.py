"""As much of curl as the documents use, for machines that have none."""

import argparse
import sys

import requests


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-S", action="store_true")
    parser.add_argument("-N", action="store_true")
    parser.add_argument("--fail-with-body", action="store_true")
    given = parser.parse_args()
    method = given.method or ("POST" if given.data else "GET")
    headers = dict(header.split(": ", 1) for header in given.headers)
    data = given.data.encode() if given.data else None
    response = requests.request(method, given.url, headers=headers, data=data, timeout=60)
    sys.stdout.write(response.text)
    return 22 if given.fail_with_body and response.status_code >= 400 else 0


if __name__ == "__main__":
    sys.exit(main())
