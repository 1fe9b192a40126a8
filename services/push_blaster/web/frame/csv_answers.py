"""Answers that a browser saves as a CSV."""

from collections.abc import Iterable

from flask import Response


def answer_csv(pieces: Iterable[str], file_name: str) -> Response:
    """Answer with a CSV that is made piece by piece, while it is sent."""
    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(pieces, mimetype="text/csv", headers=headers)
