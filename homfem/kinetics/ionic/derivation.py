r"""From equations to what a step needs: which states are gates, and the slopes of the others.

A state x is a gate where :math:`\dot x = \rho\,(x_\infty - x)` with :math:`\rho > 0` and :math:`x_\infty` that do not
depend on x, in whatever form it is written: as a time constant, or as rates of opening and closing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy

from homfem.kinetics.ionic.equations import TIME, Equations, symbol

#: Operations of an expression that is looked at for the form of a gate.
_LARGEST = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """The rate at which a state relaxes, and its target."""

    rate: sympy.Expr
    target: sympy.Expr


class Chain:
    """Derivatives through definitions."""

    def __init__(self, equations: Equations) -> None:
        self._definitions = equations.definitions
        self._depends: dict[tuple[sympy.Symbol, sympy.Symbol], bool] = {}

    def depends(self, expression: sympy.Expr, on: sympy.Symbol) -> bool:
        """Return whether an expression depends on a symbol, also through definitions."""
        return any(self._symbol_depends(other, on) for other in expression.free_symbols)

    def _symbol_depends(self, name: sympy.Symbol, on: sympy.Symbol) -> bool:
        if name == on:
            return True
        if name not in self._definitions:
            return False
        if (name, on) not in self._depends:
            self._depends[name, on] = False
            self._depends[name, on] = self.depends(self._definitions[name], on)
        return self._depends[name, on]

    def inlined(self, expression: sympy.Expr, on: sympy.Symbol) -> sympy.Expr:
        """Return an expression in which the definitions that depend on a symbol are written out."""
        for _ in range(len(self._definitions) + 1):
            inner = {
                name: self._definitions[name]
                for name in expression.free_symbols
                if name != on and name in self._definitions and self._symbol_depends(name, on)
            }
            if not inner:
                return expression
            expression = expression.xreplace(inner)
        return expression

    def slope(self, expression: sympy.Expr, by: sympy.Symbol, found: dict[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
        """Return the derivative of an expression; those of definitions are put into ``found`` by names of their own."""
        total = derivative(expression, by)
        for name in sorted(expression.free_symbols, key=str):
            if name == by or name not in self._definitions or not self._symbol_depends(name, by):
                continue
            own = symbol(f"{name} by {by}")
            if own not in found:
                found[own] = self.slope(self._definitions[name], by, found)
            total += derivative(expression, name) * own
        return total


def derivative(expression: sympy.Expr, by: sympy.Symbol) -> sympy.Expr:
    """Return the derivative of an expression between its jumps and kinks."""
    if by not in expression.free_symbols:
        return sympy.Integer(0)
    if not expression.has(*_KINKS):
        return sympy.diff(expression, by)
    steps: dict[sympy.Expr, sympy.Dummy] = {}
    smooth = expression.replace(sympy.Mod, lambda a, b: a - b * sympy.floor(a / b))
    smooth = smooth.replace(lambda part: isinstance(part, (sympy.Max, sympy.Min)), _as_cases)
    smooth = smooth.replace(
        lambda part: isinstance(part, (sympy.floor, sympy.ceiling, sympy.sign)),
        lambda part: steps.setdefault(part, sympy.Dummy(real=True)),
    )
    result = sympy.diff(smooth, by)
    for part, constant in reversed(steps.items()):
        result = result.xreplace({constant: part})
    return result


_KINKS = (sympy.Mod, sympy.Max, sympy.Min, sympy.floor, sympy.ceiling, sympy.sign)


def _as_cases(extreme: sympy.Expr) -> sympy.Expr:
    """Return a maximum or a minimum as cases."""
    first, *rest = extreme.args
    for other in rest:
        above = first >= other if isinstance(extreme, sympy.Max) else first <= other
        first = sympy.Piecewise((first, above), (other, True))
    return first


def gates(equations: Equations) -> dict[str, Gate]:
    """Return the gates among the states, in their order."""
    chain = Chain(equations)
    found = {}
    for name, expression in equations.derivatives.items():
        gate = _gate(equations, chain, name, expression) if name != equations.potential else None
        if gate is not None:
            found[name] = gate
    return {name: found[name] for name in equations.states if name in found}


def _gate(equations: Equations, chain: Chain, name: str, expression: sympy.Expr) -> Gate | None:
    x = symbol(name)
    whole = chain.inlined(expression, x)
    if whole.count_ops() > _LARGEST:
        return None
    rate = -derivative(whole, x)
    if rate == 0 or x in rate.free_symbols:
        return None
    if not _value(equations, rate) > 0.0:
        return None
    return Gate(rate=rate, target=whole.subs(x, 0) / rate)


def _value(equations: Equations, expression: sympy.Expr) -> float:
    """Return the number of an expression at the start."""
    known: dict[sympy.Symbol, sympy.Expr] = {
        symbol(name): sympy.Float(entry.value)
        for name, entry in (*equations.states.items(), *equations.parameters.items())
    }
    known[TIME] = sympy.Float(0)

    def number(inner: sympy.Expr) -> sympy.Expr:
        for name in inner.free_symbols:
            if name not in known:
                known[name] = number(equations.definitions[name])
        return inner.xreplace({name: known[name] for name in inner.free_symbols}).evalf()

    result = number(expression).evalf()
    return float(result) if result.is_Float else float("nan")


def slopes(equations: Equations, names: Iterable[str]) -> tuple[dict[str, sympy.Expr], dict[sympy.Symbol, sympy.Expr]]:
    """Return the derivatives of the rates of states by the states themselves, and further definitions that they use."""
    chain = Chain(equations)
    further: dict[sympy.Symbol, sympy.Expr] = {}
    found = {name: chain.slope(equations.derivatives[name], symbol(name), further) for name in names}
    return found, further
