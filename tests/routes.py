"""Paths that fit the rules of an app."""

import re

from flask import Flask


def fill_rule(rule: str) -> str:
    """Return a path that the rule fits."""
    path = re.sub(r"<uuid:[^>]+>", "a11ce000-0000-4000-8000-000000000001", rule)
    path = re.sub(r"<any\((\w+)[^>]*>", r"\1", path)
    return re.sub(r"<[^>]+>", "x", re.sub(r"<int:[^>]+>", "1", path))


def paths_of(app: Flask, method: str, otherwise: str = "x", **values: str) -> list[str]:
    """Return a path for every route that knows `method`, with `values` for its variables."""

    def fill(variable: re.Match[str]) -> str:
        choice, name = variable.groups()
        return choice or values.get(name, otherwise)

    rules = [rule.rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())]
    return sorted({re.sub(r"<(?:any\((\w+)[^>]*\):)?(?:\w+:)?(\w+)>", fill, r) for r in rules})
