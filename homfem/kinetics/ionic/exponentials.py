r"""Fewer exponentials: :math:`e^{cV + d} = e^d\,(e^{bV})^n` where several rates have multiples n b of one slope b.

Rates of gates are full of them, with slopes such as 1/5, 1/10 and -1/10 per mV, and a step is mostly exponentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import sympy

from homfem.kinetics.ionic.equations import symbol

#: Multiples of a slope that its exponential serves, as powers by products.
_MULTIPLES = (1, -1, 2, -2, 4, -4)
#: Shifts beyond this stay where they are, so that no factor alone is too large or too small.
_LARGEST = 50


def merged(statements: Mapping[sympy.Symbol, sympy.Expr]) -> dict[sympy.Symbol, sympy.Expr]:
    """Return statements with fewer exponentials of the potential, and those that they share as further statements."""
    every = {found for expression in statements.values() for found in expression.atoms(sympy.exp)}
    parts = {found: part for found in sorted(every, key=str) if (part := _parts(found)) is not None}
    further: dict[sympy.Symbol, sympy.Expr] = {}
    new: dict[sympy.Expr, sympy.Expr] = {}
    left = sorted({slope for slope, _ in parts.values()}, key=lambda slope: (abs(slope), slope < 0))
    while left:
        base = left[0]
        served = [slope for slope in left if slope / base in _MULTIPLES]
        left = [slope for slope in left if slope not in served]
        members = {found: part for found, part in parts.items() if part[0] in served}
        if len(members) < 2:
            continue
        power, inverse = (symbol(f"{kind} {len(further)}") for kind in ("power", "inverse"))
        further |= {power: sympy.exp(sympy.Float(float(base)) * symbol("V")), inverse: 1 / power}
        for found, (slope, shift) in members.items():
            n = int(slope / base)
            new[found] = sympy.exp(shift).evalf() * (power**n if n > 0 else inverse ** (-n))
    return {name: expression.xreplace(new) for name, expression in statements.items()} | further


def _parts(exponential: sympy.Expr) -> tuple[Fraction, sympy.Expr] | None:
    """Return (c, d) of exp(c V + d) with numbers c and d, or None."""
    v = symbol("V")
    argument = sympy.expand(exponential.args[0])
    slope = argument.coeff(v)
    shift = argument - slope * v
    if not (slope.is_Rational or slope.is_Float) or slope == 0 or not shift.is_number or abs(shift) > _LARGEST:
        return None
    return Fraction(str(slope.p)) / int(slope.q) if slope.is_Rational else Fraction(repr(float(slope))), shift
