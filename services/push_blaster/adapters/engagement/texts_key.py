"""The key under which first events are kept: the texts of one push of one automation."""

from typing import Final

#: An expression over a row `r` of result_pushes. When the texts change, users count anew.
TEXTS_KEY: Final = """
    md5(concat_ws(E'\\n', r.automation_id, r.push_id, r.texts_digest))::uuid
"""
