"""What a document may hold, so that every answer and the database can tell it."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from marshmallow import ValidationError

#: As JSON writes the one character that PostgreSQL keeps in no text.
_NUL: Final = re.compile(r"(?<!\\)(\\\\)*\\u0000")


def check_json_values(document: Mapping[str, Any]) -> None:
    """Refuse what a file may hold, and no answer and no database: one would hide all the others.

    Raises: marshmallow's ValidationError.
    """
    try:
        orjson.dumps(document)  # no lone surrogates, no integers beyond 64 bits, not too deep
        written = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"It cannot be told as JSON: {error}.") from error
    if _NUL.search(written):
        raise ValidationError("Texts may not hold the character NUL (U+0000); leave it out.")
