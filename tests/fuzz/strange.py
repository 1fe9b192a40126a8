"""Values and requests that no client means, put into every place of every route."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient

from push_blaster.web.frame.csrf import READS
from tests.people import ALICE
from tests.routes import paths_of

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
#: What a path or a query may hold instead of an id, a number or an instant.
WORDS: Final = (
    *("%00", "a%00b", "9" * 5_000, "-" + "9" * 5_000, "1e999", "NaN", "%FF%FE", "%ED%A0%80"),
    *("+10000-01-01T00:00:00Z", "99999-12-31", "0001-01-01T00:00:00+14:00", "a%0Ab", "%0A"),
    *("0001-01-01T00:00:00%2B14:00|x", "9999-12-31T23:59:59-14:00|x", "9999-12-31"),
    *("..", ".", "%2e%2e", "%20", "%5c", "x" * 3_000, "%F0%9F%8C%B1", "migrations", "None"),
    *("٣", "²", "9" * 19, "-1", "0x10", "1_000", "1e400", "%u0000", "'\"", "%25s"),
)
_DEEP: Final = "[" * 970 + "]" * 970
#: Values of JSON, as they are written.
LITERALS: Final = (
    *('"\\u0000"', '"a\\u0000b"', '"\\ud800"', "9" * 5_000, "-" + "9" * 400, "1e400", "-1e400"),
    *("1e-400", "NaN", "Infinity", "9223372036854775808", "18446744073709551616", "1.5", "-1"),
    *(_DEEP, '{"a":' * 970 + "1" + "}" * 970, '"+10000-01-01T00:00:00Z"', '"99999-12-31"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"a\\nb"', '"migrations"'),
    *("null", "true", "[]", "{}", '""', '" "', '["x"]', "[null]", '"' + "x" * 200_000 + '"'),
    *("[" + "1," * 20_000 + "1]", '{"\\u0000": 1}', '{"\\ud800": 1}', '"..\\/..\\/x"', '"٣"'),
    *('"' + "9" * 5_000 + '"', '"1e999"', '"\\ufffe"', '"\\u202e"', '"=1+1"', '"🌱"'),
)
_PART: Final = b'--x\r\nContent-Disposition: form-data; name="file"; '
_NAMELESS: Final = b"--x\r\nContent-Disposition: form-data"
#: Whole bodies, with their types.
BODIES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"", "application/json"),
    (b"\x00", "application/json"),
    (b"\xff\xfe{}", "application/json"),
    ("{}".encode("utf-16"), "application/json"),
    ("{}".encode("utf-32"), "application/json; charset=utf-32"),
    (b"{}", "application/json; charset=nonsense"),
    (b'{"a": "\xed\xa0\x80"}', "application/json"),
    (_DEEP.encode(), "application/json"),
    (b"[" * 100_000, "application/json"),
    (b'{"a":' * 100_000, "application/json"),
    (b"1", "application/json"),
    (b'"text"', "application/json"),
    (b"null", "application/json"),
    (b"9" * 5_000, "application/json"),
    (b"{}", "application/xml"),
    (b"{}", ""),
    (b"a=1&" * 3_000, "application/x-www-form-urlencoded"),
    (b"%00=%00&\xff=\xff", "application/x-www-form-urlencoded"),
    (b"%ED%A0%80=%ED%A0%80", "application/x-www-form-urlencoded; charset=utf-7"),
    (b"", "multipart/form-data"),
    (b"--x\r\n", "multipart/form-data; boundary=x"),
    (
        _PART + b'filename="\x00"\r\n\r\n\x00\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
    ),
    (
        _PART + b'filename="a.csv"\r\n\r\n\xff\xfe\x00\r\n--x--',
        "multipart/form-data; boundary=x",
    ),
    (
        _NAMELESS + b'; filename="a.csv"\r\n\r\n1\r\n' + _PART + b"\r\n\r\n2\r\n--x--\r\n",
        "multipart/form-data; boundary=x",
    ),
    (
        _NAMELESS + b"\r\n\r\n1\r\n" + _PART + b"\r\n\r\n2\r\n--x--\r\n",
        "multipart/form-data; boundary=x",
    ),
    (b"--x\r\n\r\n" * 2_000, "multipart/form-data; boundary=x"),
    (b"\x1f\x8b\x08\x00\xff\xff", "text/csv"),
    (b"user_id,token\n" + b"\x00" * 100, "text/csv"),
)
#: Headers that a route may read.
HEADERS: Final[tuple[Mapping[str, str], ...]] = (
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "\x00"},
    {"Idempotency-Key": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
    {"Idempotency-Key": "x" * 5_000},
    {"If-Match": "9" * 5_000},
    {"If-Match": '"' + "\xff" * 50},
    {"Last-Event-ID": "x|" + "9" * 5_000},
    {"Last-Event-ID": "|²"},
    {"Range": "bytes=" + "9" * 5_000 + "-"},
    {"If-Modified-Since": "Mon, 99 Foo 99999"},
    {"Accept": "x/" * 500},
    {"Cookie": "push_session=" + "\xff." * 100},
    {"Authorization": "Bearer"},
    {"Authorization": "Basic \xff"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"Transfer-Encoding": "chunked"},
    {"X-Request-ID": "\xff" * 300},
    {"Host": "\xff"},
    {"Host": "a" * 300},
    {"Origin": "http://["},
    {"X-Forwarded-For": "\xff"},
)
_BOTH: Final = (False, True)
STRANGE_METHODS: Final = ("PROPFIND", "TRACE", "FOO", "get", "X" * 200, "PATCH")
#: What a field of a form may hold.
TEXTS: Final = (
    *("\x00", "a\x00b", "9" * 5_000, "²", "٣", "-" + "9" * 30, "1e400", "nan", "\n", "x" * 50_000),
    *("99999-12-31", "+10000-01-01T00:00:00Z", "0001-01-01", "\ufffe", "..", "migrations", "[]"),
)

Request = tuple[str, str, dict[str, Any]]


def strange_requests(app: Flask, document: Mapping[str, Any]) -> Iterator[Request]:
    """Yield method, path and options of each request."""
    yield from _with_headers_and_bodies(app)
    yield from _with_paths(app)
    yield from _with_queries_and_fields(document)
    yield from _with_forms(app)


def _with_headers_and_bodies(app: Flask) -> Iterator[Request]:
    for method in METHODS:
        for path in paths_of(app, method, "news"):
            for headers in HEADERS:
                yield method, path, {"headers": headers}
            for (body, kind), has_key in product(BODIES if method not in READS else (), _BOTH):
                headers = {"Idempotency-Key": str(uuid4())} if has_key else {}
                yield method, path, {"data": body, "content_type": kind or None, "headers": headers}


def _with_paths(app: Flask) -> Iterator[Request]:
    for method, word in product(METHODS, WORDS):
        yield from ((method, path, {}) for path in paths_of(app, method, word) if word in path)
    for method, path in product(STRANGE_METHODS, [*paths_of(app, "GET", "news"), "/none", "/%00"]):
        yield method, path, {}


def _with_queries_and_fields(document: Mapping[str, Any]) -> Iterator[Request]:
    """Yield requests that have a strange value in one field of the query or of the body."""
    for path, methods in document["paths"].items():
        filled = re.sub(r"\{[^}]+\}", "news", path.replace("{user_id}", str(ALICE)))
        for method, operation in methods.items():
            if method.upper() not in METHODS:
                continue
            for name, word in product(_query_of(operation), WORDS):
                yield method.upper(), f"{filled}?{name}={word}", {}
            for name, literal in product(_fields_of(operation, document), LITERALS):
                body = f'{{"{name}": {literal}}}'
                yield method.upper(), filled, {"data": body, "content_type": "application/json"}


def _query_of(operation: Mapping[str, Any]) -> list[str]:
    return [p["name"] for p in operation.get("parameters", []) if p.get("in") == "query"]


def _fields_of(operation: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"][name] if name else schema
    return sorted(schema.get("properties", {}))


def _with_forms(app: Flask) -> Iterator[Request]:
    """Yield forms of the pages, with one strange text in every field that a template has."""
    names = {
        name
        for template in Path(app.root_path, app.template_folder or "").glob("*.html")
        for name in re.findall(r'name="([a-zA-Z_.]+)"', template.read_text())
    }
    for path, text in product(paths_of(app, "POST", "news"), TEXTS if names else ()):
        yield "POST", path, {"data": dict.fromkeys(names, text)}


def throw_strange(client: FlaskClient, requests: Sequence[Request]) -> list[tuple[object, ...]]:
    """Send the requests, and return those that crashed: method, path, options and answer."""
    failed: list[tuple[object, ...]] = []
    for method, path, options in requests:
        answer = client.open(path, method=method, buffered=False, **options)
        if answer.status_code >= 500 and answer.status_code != 503:
            failed.append((method, path[:200], str(options)[:200], answer.get_data()[:200]))
        answer.close()
    return failed
