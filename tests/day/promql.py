"""As much of PromQL as our alerts speak, over scrapes that are kept in memory.

Shape: a vector has a value for each set of labels; a comparison leaves what it is true of.
"""

import operator
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Final

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Samples = Mapping[str, Vector]
Expression = Callable[["Scrapes"], Vector]

COMPARISONS: Final = {">": operator.gt, "<": operator.lt, "==": operator.eq}
AGGREGATES: Final[dict[str, Callable[[Iterable[float]], float]]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "count": lambda values: float(len(list(values))),
}
UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
TOKEN: Final = re.compile(
    r'\s*(?P<word>[a-z_]+\w*)|\s*(?P<number>[\d.]+(?![smhd\d]))|\s*(?P<text>"[^"]*")'
    r"|\s*(?P<span>\[\d+[smhd](?::\d+[smhd])?\])|\s*(?P<sign>=~|==|[><*(){},=])"
)


@dataclass
class Scrapes:
    """What was scraped lately, by its instant; the last one is now."""

    keep_s: float
    kept: deque[tuple[float, Samples]] = field(default_factory=deque)

    def add(self, at_s: float, samples: Samples) -> None:
        """Take a scrape, and forget what is too old."""
        self.kept.append((at_s, samples))
        while self.kept[0][0] < at_s - self.keep_s:
            self.kept.popleft()

    def now(self, name: str) -> Vector:
        """Return the metric as it was scraped last."""
        return dict(self.kept[-1][1].get(name, {}))

    def increase(self, name: str, within_s: float) -> Vector:
        """Return by how much each counter has grown; one that fell has begun anew."""
        since = self.kept[-1][0] - within_s
        seen: dict[Labels, list[float]] = defaultdict(list)
        for at_s, samples in self.kept:
            if at_s >= since:
                for labels, value in samples.get(name, {}).items():
                    seen[labels].append(value)
        return {labels: _grown(values) for labels, values in seen.items() if len(values) > 1}


def parse(text: str, compression: float = 1) -> Expression:
    """Return what evaluates `text`; its windows are shortened by `compression`."""
    matches = list(TOKEN.finditer(text))
    if sum(len(match[0]) for match in matches) != len(text.rstrip()):
        raise ValueError(f"This is no PromQL that we know: {text}")
    tokens = deque((str(match.lastgroup), match[match.lastgroup or 0]) for match in matches)
    expression = _Parser(tokens, compression).alternatives()
    if tokens:
        raise ValueError(f"Not understood from {tokens[0][1]!r} on: {text}")
    return expression


@dataclass
class _Parser:
    tokens: deque[tuple[str, str]]
    compression: float

    def alternatives(self) -> Expression:
        """Read comparisons between `or`; each adds what the ones before have not."""
        left = self.comparison()
        while self.tokens and self.tokens[0][1] == "or":
            self._next()
            left = _either(left, self.comparison())
        return left

    def comparison(self) -> Expression:
        left = self._product()
        if not self.tokens or self.tokens[0][1] not in COMPARISONS:
            return left
        holds, right = COMPARISONS[self._next()], self._product()
        return lambda scrapes: _compare(left(scrapes), right(scrapes), holds)

    def _product(self) -> Expression:
        left = self._operand()
        if not self.tokens or self.tokens[0][1] != "*":
            return left
        self._next()
        right = self._operand()
        return lambda scrapes: {
            labels: value * _scalar(left(scrapes)) for labels, value in right(scrapes).items()
        }

    def _operand(self) -> Expression:
        kind, word = self.tokens.popleft()
        if kind == "number":
            return lambda _: {frozenset(): float(word)}
        if word in AGGREGATES:
            return self._aggregate(AGGREGATES[word])
        functions = {
            "abs": self._absolute,
            "absent": self._absence,
            "rate": lambda: self._growth(is_rate=True),
            "increase": lambda: self._growth(is_rate=False),
            "histogram_quantile": self._quantile,
            "quantile_over_time": self._usual,
        }
        if word == "(":
            self.tokens.appendleft((kind, word))
            functions[word] = self.alternatives
        if word in functions:
            return self._in_brackets(functions[word])
        return self._selector(word)

    def _absolute(self) -> Expression:
        inner = self._selector()
        return lambda scrapes: {labels: abs(value) for labels, value in inner(scrapes).items()}

    def _absence(self) -> Expression:
        inner = self._selector()
        return lambda scrapes: {} if inner(scrapes) else {frozenset(): 1.0}

    def _aggregate(self, combine: Callable[[Iterable[float]], float]) -> Expression:
        by: list[str] = []
        if self.tokens[0][1] == "by":
            self._next()
            by = self._names()
        inner = self._in_brackets(self.comparison)
        return lambda scrapes: _group(inner(scrapes), by, combine)

    def _growth(self, *, is_rate: bool) -> Expression:
        name, matchers = self._next(), self._matchers()
        within_s = self._span()
        share = 1 / within_s if is_rate else 1.0
        return lambda scrapes: {
            labels: value * share
            for labels, value in scrapes.increase(name, within_s).items()
            if _fits(labels, matchers)
        }

    def _span(self) -> float:
        span = self._next().strip("[]").partition(":")[0]
        return int(span[:-1]) * UNITS[span[-1]] / self.compression

    def _usual(self) -> Expression:
        """Read a quantile over a subquery, which is evaluated as often as the whole is."""
        share = float(self._next())
        self._expect(",")
        inner, within_s = self._operand(), self._span()
        seen: deque[tuple[float, Vector]] = deque()

        def judge(scrapes: Scrapes) -> Vector:
            now_s = scrapes.kept[-1][0]
            seen.append((now_s, inner(scrapes)))
            while seen[0][0] < now_s - within_s:
                seen.popleft()
            names = {labels for _, vector in seen for labels in vector}
            return {n: _share_of([v[n] for _, v in seen if n in v], share) for n in names}

        return judge

    def _quantile(self) -> Expression:
        share = float(self._next())
        self._expect(",")
        inner = self.comparison()
        return lambda scrapes: _quantile(share, inner(scrapes))

    def _selector(self, name: str | None = None) -> Expression:
        metric, matchers = name or self._next(), self._matchers()
        return lambda scrapes: {
            labels: value
            for labels, value in scrapes.now(metric).items()
            if _fits(labels, matchers)
        }

    def _matchers(self) -> dict[str, str]:
        """Return for each label the pattern that it must fit."""
        found: dict[str, str] = {}
        if not self.tokens or self.tokens[0][1] != "{":
            return found
        self._next()
        while self.tokens[0][1] != "}":
            label, sign, text = self._next(), self._next(), self._next().strip('"')
            found[label] = text if sign == "=~" else re.escape(text)
            if self.tokens[0][1] == ",":
                self._next()
        self._next()
        return found

    def _names(self) -> list[str]:
        self._expect("(")
        names = [self._next()]
        while self._next() == ",":
            names.append(self._next())
        return names

    def _in_brackets(self, read: Callable[[], Expression]) -> Expression:
        self._expect("(")
        inner = read()
        self._expect(")")
        return inner

    def _expect(self, sign: str) -> None:
        found = self._next()
        if found != sign:
            raise ValueError(f"{sign!r} was expected, not {found!r}")

    def _next(self) -> str:
        return self.tokens.popleft()[1]


def _either(left: Expression, right: Expression) -> Expression:
    return lambda scrapes: right(scrapes) | left(scrapes)


def _share_of(values: list[float], share: float) -> float:
    """Return the value below which this share of them lies, between its two neighbours."""
    ordered, rank = sorted(values), share * (len(values) - 1)
    below = ordered[int(rank)]
    above = ordered[min(int(rank) + 1, len(values) - 1)]
    return below + (above - below) * (rank - int(rank))


def _compare(left: Vector, right: Vector, holds: Callable[[float, float], bool]) -> Vector:
    """Leave of `left` what it holds of; a number stands against everything."""
    number = _scalar(right) if right.keys() == {frozenset()} else None
    found: Vector = {}
    for labels, value in left.items():
        other = right.get(labels, number)
        if other is not None and holds(value, other):
            found[labels] = value
    return found


def _scalar(vector: Vector) -> float:
    return vector[frozenset()]


def _group(vector: Vector, by: list[str], combine: Callable[[Iterable[float]], float]) -> Vector:
    groups: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in vector.items():
        groups[frozenset(pair for pair in labels if pair[0] in by)].append(value)
    return {labels: combine(values) for labels, values in groups.items()}


def _fits(labels: Labels, matchers: Mapping[str, str]) -> bool:
    has = dict(labels)
    return all(re.fullmatch(text, has.get(label, "")) for label, text in matchers.items())


def _grown(values: list[float]) -> float:
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def _quantile(share: float, buckets: Vector) -> Vector:
    """Return where in its bucket the quantile lies, if the bucket is evenly filled."""
    counts = sorted((float(dict(labels)["le"]), count) for labels, count in buckets.items())
    if not counts or not counts[-1][1]:
        return {}
    wanted = share * counts[-1][1]
    below, counted = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted and bound < inf:
            return {frozenset(): below + (bound - below) * (wanted - counted) / (count - counted)}
        below, counted = bound if bound < inf else below, count
    return {frozenset(): below}
