r"""Removable singularities of rate functions, such as :math:`x/(e^x - 1)`, written so that nothing is divided by zero.

With the Bernoulli function :math:`B(w) = w/(e^w - 1)`, a series about 0, products with

.. math:: \frac{N}{k e^u + c} = -\frac{q}{c}\,B(w)\ \text{ if } N = q w,\qquad
    \frac{k e^u + c}{D} = -\frac{c}{r}\,\frac{1}{B(w)}\ \text{ if } D = r w,\qquad w = u - \log(-c/k),

lose their common zero, for N, D, u linear in the membrane potential. That covers the rates of gates in the form of
Hodgkin and Huxley, fluxes of Goldman, Hodgkin and Katz, and inward rectifiers in the form of Luo and Rudy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import sympy

from homfem.kinetics.ionic.equations import Equations, symbol

#: Operations of a definition that is written out where it is used, to find zeros that two definitions share.
_SMALL = 40
#: Zeros within this, relative to the terms of their sum, are the same.
_SAME = 1e-9


class Bernoulli(sympy.Function):
    """B(w) = w/(exp(w) - 1), and 1 for w = 0."""

    nargs = 1
    is_real = True

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        w = self.args[0].evalf()
        return w / (sympy.exp(w) - 1) if w else sympy.Float(1)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """Return the derivative."""
        return BernoulliSlope(self.args[0])


class BernoulliSlope(sympy.Function):
    """The derivative of the Bernoulli function, -1/2 for w = 0."""

    nargs = 1
    is_real = True


def guarded(equations: Equations) -> Equations:
    """Return equations without removable singularities in the membrane potential."""
    v, definitions = symbol(equations.potential), dict(equations.definitions)
    for name in _in_order(definitions):
        definitions[name] = _guarded(definitions, v, definitions[name])
    derivatives = {name: _guarded(definitions, v, entry) for name, entry in equations.derivatives.items()}
    return replace(equations, definitions=definitions, derivatives=derivatives)


def _in_order(definitions: Mapping[sympy.Symbol, sympy.Expr]) -> list[sympy.Symbol]:
    order: dict[sympy.Symbol, None] = {}

    def visit(name: sympy.Symbol) -> None:
        if name not in order:
            for other in sorted(definitions[name].free_symbols & definitions.keys(), key=str):
                visit(other)
            order[name] = None

    for name in definitions:
        visit(name)
    return list(order)


def _guarded(definitions: Mapping[sympy.Symbol, sympy.Expr], v: sympy.Symbol, expression: sympy.Expr) -> sympy.Expr:
    """Return an expression without removable singularities: as it is, if it has none."""
    whole = _written_out(definitions, v, expression)
    without = whole.replace(lambda part: part.is_Mul, lambda part: _product(v, part))
    return without if without.has(Bernoulli) and without != whole else expression


def _written_out(definitions: Mapping[sympy.Symbol, sympy.Expr], v: sympy.Symbol, expression: sympy.Expr) -> sympy.Expr:
    """Return an expression in which small definitions that depend on the potential are written out."""
    for _ in range(4):
        small = {
            name: definitions[name]
            for name in expression.free_symbols & definitions.keys()
            if v in definitions[name].free_symbols | _inner(definitions, definitions[name])
            and definitions[name].count_ops() <= _SMALL
            and not definitions[name].has(Bernoulli, sympy.Piecewise)
        }
        if not small or not any(part.exp.is_negative for part in expression.atoms(sympy.Pow)):
            break
        expression = expression.xreplace(small)
    return expression


def _inner(definitions: Mapping[sympy.Symbol, sympy.Expr], expression: sympy.Expr) -> set[sympy.Symbol]:
    return {other for name in expression.free_symbols & definitions.keys() for other in definitions[name].free_symbols}


def _product(v: sympy.Symbol, product: sympy.Expr) -> sympy.Expr:
    """Return a product without the zeros that a factor and a divisor of it share."""
    factors = list(product.args)
    for upper, lower in _pairs(v, factors):
        ratio = _ratio(v, upper, 1 / lower)
        if ratio is not None:
            rest = list(factors)
            rest.remove(upper)
            rest.remove(lower)
            return _product(v, sympy.Mul(*rest, ratio)) if len(rest) > 1 else sympy.Mul(*rest, ratio)
    return product


def _pairs(v: sympy.Symbol, factors: list[sympy.Expr]) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    for lower in factors:
        if lower.is_Pow and lower.exp == -1 and v in lower.free_symbols:
            for upper in factors:
                if upper is not lower and v in upper.free_symbols and (upper.is_Add or upper.is_Symbol):
                    yield upper, lower


def _ratio(v: sympy.Symbol, upper: sympy.Expr, lower: sympy.Expr) -> sympy.Expr | None:
    """Return upper/lower without the zero that they share, or None."""
    for one, other, inverse in ((lower, upper, False), (upper, lower, True)):
        found = _exponential(v, one)
        if found is None or not _linear(v, other):
            continue
        c, w = found
        slope = sympy.diff(other, v) / sympy.diff(w, v)
        if _vanishes(sympy.expand(sympy.simplify(other - slope * w)), other):
            return -c / (slope * Bernoulli(w)) if inverse else -slope / c * Bernoulli(w)
    return None


def _exponential(v: sympy.Symbol, expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return (c, w) if an expression is c - c exp(w) with w linear in v, else None."""
    if not expression.is_Add:
        return None
    constant, rest = expression.as_independent(v, as_Add=True)
    k, exponential = rest.as_independent(v, as_Add=False)
    if constant == 0 or not isinstance(exponential, sympy.exp) or not _linear(v, exponential.args[0]):
        return None
    quotient = -constant / k
    if not quotient.is_positive or not quotient.is_number:
        return None
    return constant, exponential.args[0] - sympy.log(quotient)


def _linear(v: sympy.Symbol, expression: sympy.Expr) -> bool:
    slope = sympy.diff(expression, v)
    return slope != 0 and v not in slope.free_symbols


def _vanishes(rest: sympy.Expr, beside: sympy.Expr) -> bool:
    """Return whether a sum is 0 but for round-off of the numbers in another one."""
    sizes = [abs(float(term.as_coeff_Mul()[0])) for term in sympy.Add.make_args(sympy.expand(beside))]
    left = [abs(float(term.as_coeff_Mul()[0])) for term in sympy.Add.make_args(rest)]
    return max(left) <= _SAME * max(sizes)
