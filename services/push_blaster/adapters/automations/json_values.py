"""The values that a document may have, so that answers and the database can hold it."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from marshmallow import ValidationError

#: How JSON writes the character NUL, which PostgreSQL cannot store.
_NUL: Final = re.compile(r"(?<!\\)(\\\\)*\\u0000")


def check_json_values(document: Mapping[str, Any]) -> None:
    """Refuse values that a file can contain, but an answer or the database cannot.

    Raises: marshmallow's ValidationError.
    """
    try:
        orjson.dumps(document)  # no lone surrogates, no integers beyond 64 bits, not too deep
        written = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"It cannot be written as JSON: {error}.") from error
    if _NUL.search(written):
        raise ValidationError("Texts may not contain the character NUL (U+0000); leave it out.")
