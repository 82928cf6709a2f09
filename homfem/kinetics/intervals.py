"""Between which numbers an expression lies while its names run through intervals: a proof, where it gives one.

Interval arithmetic (Moore 1966, *Interval Analysis*) on the tree: the answer encloses every value, and is ``None``
where an operation may be undefined (a division by an interval with zero, a root of negative numbers). It encloses more
than the values where a name stands twice, so that what it does not prove may still be true. Signs survive the rounding
of floating-point numbers: a difference, product or quotient is rounded to a number of the same sign or to zero.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

from homfem.kinetics.expressions import Node

Interval = tuple[float, float]
NONNEGATIVE: Interval = (0.0, math.inf)
ANYWHERE: Interval = (-math.inf, math.inf)
_LARGEST = sys.float_info.max


def enclosure(node: Node, ranges: Mapping[str, Interval]) -> Interval | None:
    """Return an interval that holds every value of an expression, or None where it may be undefined.

    Example
    -------
    >>> from homfem.kinetics.expressions import parse_expression
    >>> tree = parse_expression("R", "k*v/(1 + v) - u", ["k", "u", "v"]).tree
    >>> enclosure(tree, {"k": (2.0, 2.0), "u": (0.0, 0.0), "v": NONNEGATIVE})
    (0.0, inf)
    """
    operation = node.operation
    if operation == "number":
        return node.number, node.number
    if operation == "name":
        return ranges[node.name]
    parts: list[Interval] = []
    for part in node.parts:
        found = enclosure(part, ranges)
        if found is None:
            return None
        parts.append(found)
    try:
        result = _of_one(operation, parts[0]) if len(parts) == 1 else _of_two(operation, parts[0], parts[1])
    except OverflowError:
        return None
    return None if result is None or any(map(math.isnan, result)) else _wide(result)


def _wide(ends: Interval) -> Interval:
    """Return an interval with no end on the wrong side of what overflowed."""
    return min(ends[0], _LARGEST), max(ends[1], -_LARGEST)


def _of_one(operation: str, a: Interval) -> Interval | None:
    low, high = a
    if operation == "negative":
        return -high, -low
    if operation in ("sin", "cos"):
        return -1.0, 1.0
    if operation == "abs":
        return max(low, -high, 0.0), max(-low, high)
    if operation == "exp":
        return math.exp(low), math.inf if high > 700.0 else math.exp(high)
    if operation == "tanh":
        return math.tanh(low), math.tanh(high)
    if operation == "sqrt":
        return (math.sqrt(low), math.sqrt(high)) if low >= 0.0 else None
    return (math.log(low), math.log(high)) if low > 0.0 else None


def _of_two(operation: str, a: Interval, b: Interval) -> Interval | None:
    if operation == "+":
        return a[0] + b[0], a[1] + b[1]
    if operation == "-":
        return a[0] - b[1], a[1] - b[0]
    if operation == "*":
        return _corners(a, b)
    if operation == "/":
        return None if b[0] <= 0.0 <= b[1] else _corners(a, _wide((1.0 / b[1], 1.0 / b[0])))
    if operation == "**":
        return _power(a, b)
    choose = min if operation == "min" else max
    return choose(a[0], b[0]), choose(a[1], b[1])


def _corners(a: Interval, b: Interval) -> Interval:
    """Return the products of two intervals; zero times what is unbounded is zero."""
    products = [0.0 if x == 0.0 or y == 0.0 else x * y for x in a for y in b]
    return min(products), max(products)


def _power(a: Interval, b: Interval) -> Interval | None:
    low, high = a
    exponent = b[0]
    if b[0] != b[1]:  # exp(b log a)
        if low <= 0.0:
            return None
        between = _corners(b, (math.log(low), math.log(high)))
        return _of_one("exp", between)
    if exponent == 0.0:
        return 1.0, 1.0
    whole = exponent == round(exponent)
    if (low < 0.0 and not whole) or (exponent < 0.0 and low <= 0.0 <= high):
        return None
    ends = [math.pow(low, exponent), math.pow(high, exponent)]
    even = whole and round(exponent) % 2 == 0
    return (0.0 if even and low < 0.0 < high else min(ends)), max(ends)
