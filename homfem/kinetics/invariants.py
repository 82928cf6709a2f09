r"""Sums of species that reactions keep: the left null vectors of the stoichiometry, found exactly.

Rates are expanded into sums of products with rational coefficients, :math:`\dot u_i = \sum_m A_{im}\,p_m(u)`; then
:math:`\sum_i w_i u_i` stays for every w with :math:`w^T A = 0`, whatever the products are. Products are compared as
texts, so that every sum that is found is kept; one that holds by an identity of functions only is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from homfem.kinetics.expressions import Expression, Node

Weights = tuple[tuple[float, ...], ...]
#: Products in a rate from which on it is not expanded any more, but stands for itself.
MOST_PRODUCTS = 400
_Sum = dict[tuple[str, ...], Fraction]


def kept_sums(rates: Sequence[Expression], rows: Sequence[Sequence[float]]) -> Weights:
    r"""Return weights w of the species, one row for each sum :math:`\sum_i w_i u_i` that the reactions keep.

    Parameters
    ----------
    rates
        :math:`r_j`.
    rows
        The stoichiometry :math:`\nu_{ij}`, a row for each species.

    Example
    -------
    >>> from homfem.kinetics.expressions import parse_expression
    >>> names = ["k", "a", "b", "c"]
    >>> kept_sums([parse_expression("r", text, names) for text in ("-k*a*b", "-b*a*k", "k*(a*b)")],
    ...           [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    ((1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
    """
    parts = [_products(rate.tree) for rate in rates]
    products = {product for part in parts for product in part}
    gains = [
        [
            sum((Fraction(number) * part.get(product, 0) for number, part in zip(row, parts, strict=True)), Fraction(0))
            for row in rows
        ]
        for product in sorted(products)
    ]
    return null_vectors(gains, len(rows))


def null_vectors(rows: Sequence[Sequence[Fraction | float]], size: int) -> Weights:
    """Return a basis of the vectors that are orthogonal to rows of a size; exact. The last entries are eliminated.

    Example
    -------
    >>> null_vectors([(-1.0, -1.0, 1.0)], 3)
    ((1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
    """
    left = [[Fraction(number) for number in row] for row in rows]
    pivots: dict[int, list[Fraction]] = {}
    for column in reversed(range(size)):
        found = next((row for row in left if row[column]), None)
        if found is None:
            continue
        left.remove(found)
        scaled = [number / found[column] for number in found]
        left = [_less(row, scaled, column) for row in left]
        pivots = {at: _less(row, scaled, column) for at, row in pivots.items()} | {column: scaled}
    free = [column for column in range(size) if column not in pivots]
    return tuple(
        tuple(float(j == column) if j not in pivots else -float(pivots[j][column]) or 0.0 for j in range(size))
        for column in free
    )


def _less(row: list[Fraction], pivot: list[Fraction], column: int) -> list[Fraction]:
    return [number - row[column] * other for number, other in zip(row, pivot, strict=True)]


def _products(node: Node) -> _Sum:
    """Return a part of an expression as a sum of products with coefficients."""
    operation = node.operation
    if operation == "number":
        return _sum({(): Fraction(node.number)})
    if operation == "negative":
        return {product: -number for product, number in _products(node.parts[0]).items()}
    if operation in ("+", "-"):
        first, second = map(_products, node.parts)
        sign = 1 if operation == "+" else -1
        return _sum({p: first.get(p, Fraction(0)) + sign * second.get(p, Fraction(0)) for p in {**first, **second}})
    if operation == "*":
        found = _times(*map(_products, node.parts))
    elif operation == "/":
        under = _products(node.parts[1])
        over: _Sum = {(f"1/({node.parts[1]})",): Fraction(1)}
        if set(under) == {()}:
            over = {(): 1 / under[()]}
        found = _times(_products(node.parts[0]), over)
    else:
        found = None
    return {(str(node),): Fraction(1)} if found is None else found


def _times(first: _Sum, second: _Sum) -> _Sum | None:
    """Return a product of sums; None if it is too long."""
    if len(first) * len(second) > MOST_PRODUCTS:
        return None
    found: _Sum = {}
    for a, number in first.items():
        for b, other in second.items():
            product = tuple(sorted((*a, *b)))
            found[product] = found.get(product, Fraction(0)) + number * other
    return _sum(found)


def _sum(terms: _Sum) -> _Sum:
    return {product: number for product, number in terms.items() if number}
