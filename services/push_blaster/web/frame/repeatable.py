"""Routes whose requests may be repeated: a key stands for one request, and for no other."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from hashlib import file_digest, sha256
from io import BytesIO
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import orjson
from flask import Flask, Response, request
from marshmallow import fields, validate

from chassis.bearer_auth import View, caller_only_simulates, is_open, user_of_caller
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.access.idempotency_keys import (
    KeyUse,
    delete_key,
    insert_key,
    select_request,
)
from push_blaster.adapters.automations.document_files import (
    DocumentExistsError,
    DocumentFiles,
    DocumentNotFoundError,
)
from push_blaster.use_cases.context import (
    CALLER_KEY,
    OWN_KEYS,
    TEST_KEY,
    USER_KEY,
    IdempotencyConflictError,
)

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Where the environment of a request keeps the first use of its key.
_USE: Final = "push_blaster.key_use"
#: Where it keeps the use of a key that came before.
_REPEATED: Final = "push_blaster.repeated_key_use"
#: The field of a document that identifies the key that made it, if its request chose the id.
MADE_BY: Final = "createdByKey"


class AnsweredBeforeError(Exception):
    """A request was repeated whose answer cannot be given again."""


class StartHeadersSchema(CamelSchema):
    """Headers of a request that may be repeated safely."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key", load_default=None, validate=validate.Length(min=1, max=200)
    )


def repeatable(routes: Routes, database: Database) -> Callable[[View], View]:
    """Return a decorator for routes that take an Idempotency-Key: the view gets `idempotency_key`.

    The same key with another path, query or body is refused (IdempotencyConflictError); a request
    that was refused for another reason leaves its key free.
    """

    def lay_around(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> object:
            key = kwargs["idempotency_key"]
            if key is None:
                return view(*args, **kwargs)
            kwargs["idempotency_key"] = key = caller_key(key)
            use = KeyUse(f"{request.method} {request.url_rule}", key, _hash_request())
            return _answer_once(database, use, lambda: view(*args, **kwargs))

        take_headers = routes.arguments(StartHeadersSchema, location="headers", as_kwargs=True)
        described: View = take_headers(checked)
        described.takes_key = True  # type: ignore[attr-defined]  # read by guard_keys() below
        return described

    return lay_around


def id_by_key(files: DocumentFiles, key: str, is_own: Callable[[Mapping[str, Any]], bool]) -> str:
    """Return the id of the document that this key makes on this route.

    Shape: `is_own` says whether this route makes such documents; if another route has made a
    document under the same key, this route uses another id.
    """
    with suppress(DocumentNotFoundError):
        if not is_own(files.load(str(uuid5(NAMESPACE_URL, key)))):
            return _id_on_this_route(key)
    return str(uuid5(NAMESPACE_URL, key))


def name_by_key(body: Mapping[str, Any], key: str | None) -> Mapping[str, Any]:
    """Return the body of a new document under its key: with an id, or marked beside its own id."""
    if key is None:
        return body
    return {**body, (MADE_BY if body.get("id") else "id"): _id_on_this_route(key)}


def find_made_before(
    files: DocumentFiles, sent: Mapping[str, Any], named: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the document that this request made before; None the first time, or if it is gone.

    Shape: `named` is `sent` with what its key adds; a document with an id of its own is only this
    request's if it has the same mark.
    """
    if named is sent or not isinstance(named.get("id"), str):
        return None
    with suppress(DocumentNotFoundError):
        found = files.load(named["id"])
        return found if not sent.get("id") or found.get(MADE_BY) == named[MADE_BY] else None
    return None


def _id_on_this_route(key: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{request.url_rule} {key}"))


def guard_keys(app: Flask, database: Database) -> None:
    """Refuse a key that was used with another request, on every other route that changes things.

    Such a route answers a repeated request as it answers the first one, or refuses it by
    `refuse_repeat`. A body over
    MAX_CONTENT_LENGTH is not compared.
    """

    @app.before_request
    def check() -> None:
        if "Idempotency-Key" not in request.headers or not _is_to_guard(app):
            return
        given = StartHeadersSchema().load({"Idempotency-Key": request.headers["Idempotency-Key"]})
        key = caller_key(given["idempotency_key"])
        use = KeyUse(f"{request.method} {request.url_rule}", key, _hash_request())
        request.environ[_USE if _begin(database, use) else _REPEATED] = use

    @app.after_request
    def free(response: Response) -> Response:
        use = request.environ.get(_USE)
        if use is not None and response.status_code >= 400:
            with database.transaction() as connection:
                delete_key(connection, use)
        return response


def refuse_repeat() -> None:
    """Refuse a request that came before under its Idempotency-Key: its answer showed a secret.

    Raises: AnsweredBeforeError.
    """
    if _REPEATED in request.environ:
        raise AnsweredBeforeError(
            "This request was carried out before, under the same Idempotency-Key. Its answer had "
            "the secret, which cannot be read again; send a new key for another secret."
        )


def _is_to_guard(app: Flask) -> bool:
    if request.endpoint is None or request.method in _READS or is_open(app, request.endpoint):
        return False
    takes_key = getattr(app.view_functions[request.endpoint], "takes_key", False)
    return not takes_key and (request.content_length or 0) <= app.config["MAX_CONTENT_LENGTH"]


def caller_key(key: str) -> str:
    """Return the key of a caller, apart from keys of users, and from those that the system makes.

    The key of a user keeps no id of the user.
    """
    if user := user_of_caller():
        return f"{USER_KEY}{sha256(user.bytes + key.encode()).hexdigest()}"
    if caller_only_simulates():
        return f"{TEST_KEY}{key}"
    return f"{CALLER_KEY}{key}" if key.startswith(OWN_KEYS) else key


def _begin(database: Database, use: KeyUse) -> bool:
    """Return whether this is the first use of the key; IdempotencyConflictError."""
    with database.transaction() as connection:
        is_first = insert_key(connection, use, utc_now())
        earlier = use.request if is_first else select_request(connection, use)
    if earlier not in {None, use.request}:
        raise IdempotencyConflictError(
            "The Idempotency-Key was used before with another request to this route; send a new "
            "key for a new request."
        )
    return is_first


def _answer_once(database: Database, use: KeyUse, answer: Callable[[], object]) -> object:
    is_first = _begin(database, use)
    is_refused = True
    try:
        try:
            answered = answer()
        except DocumentExistsError:  # perhaps by the same request, which ran at the same time
            answered = answer()
        is_refused = isinstance(answered, Response) and answered.status_code >= 400
    finally:
        if is_first and is_refused:
            with database.transaction() as connection:
                delete_key(connection, use)
    return answered


def _hash_request() -> str:
    """Return a hash that is the same for the same request, however its body was packed."""
    files = hash_files()
    parts = {
        "body": None if request.is_json or request.form or files else _hash_stream(),
        "path": request.path,
        "query": sorted(request.args.items(multi=True)),
        "json": request.get_json() if request.is_json and request.get_data() else None,
        "form": sorted(request.form.items(multi=True)),
        "files": files,
        "isSimulated": caller_only_simulates(),
    }
    return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def hash_files() -> dict[str, list[str]]:
    """Return the SHA-256 of each file that came with this request, by the field; all stay whole."""
    files: dict[str, list[str]] = {}
    for name, upload in request.files.items(multi=True):
        upload.stream.seek(0)
        files.setdefault(name, []).append(file_digest(upload.stream, "sha256").hexdigest())  # type: ignore[arg-type]  # it reads
        upload.stream.seek(0)
    return files


def _hash_stream() -> str:
    """Return the hash of a body that is neither JSON nor a form; the view can read it again."""
    content = request.stream.read()
    request.stream = BytesIO(content)
    return sha256(content).hexdigest()
