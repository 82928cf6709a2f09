"""Formulas as source code: NumPy and C from the same expressions, common parts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy.printing.c import C99CodePrinter
from sympy.printing.numpy import NumPyPrinter

from homfem.kinetics.ionic.derivation import gates, slopes
from homfem.kinetics.ionic.equations import Equations, symbol
from homfem.kinetics.ionic.exponentials import merged
from homfem.kinetics.ionic.formulas import Formulas
from homfem.kinetics.ionic.singularities import guarded
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Variable

Outputs = Mapping[str, sympy.Expr]
Statements = Mapping[sympy.Symbol, sympy.Expr]


def variable(name: str) -> str:
    """Return the name of a quantity in source code: no keyword of any language, and none that a file can have."""
    return name.replace(" ", "__") + "_x" if " " in name else f"{name}_"


class _Names:
    def _print_Symbol(self, expr: Any) -> str:
        return variable(expr.name)

    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))

    _print_NumberSymbol = _print_Pi = _print_Exp1 = _print_Float

    def _print_Integer(self, expr: Any) -> str:
        return f"{int(expr)}.0"

    def _print_Rational(self, expr: Any) -> str:
        return f"({int(expr.p)}.0/{int(expr.q)}.0)"

    def _print_Pow(self, expr: Any) -> str:
        base, power = expr.as_base_exp()
        if power.is_number and power.is_negative:
            return f"(1.0/{self._power(base, -power)})"
        return self._power(base, power)

    def _print_Bernoulli(self, expr: Any) -> str:
        return f"bernoulli({self._print(expr.args[0])})"  # type: ignore[attr-defined]

    def _print_BernoulliSlope(self, expr: Any) -> str:
        return f"bernoulli_slope({self._print(expr.args[0])})"  # type: ignore[attr-defined]

    def _power(self, base: Any, power: Any) -> str:
        text = self._print(base)  # type: ignore[attr-defined]
        if power == 1:
            return f"({text})"
        if power == sympy.Rational(1, 2):
            return f"{self.root}({text})"  # type: ignore[attr-defined]
        if power.is_Integer and 2 <= power <= 4:
            return f"power{int(power)}({text})"
        whole = float(power) if power.is_number else None
        if whole is not None and whole.is_integer() and 1 <= whole <= 4:
            return self._power(base, sympy.Integer(int(whole)))
        return f"{self.pow}({text}, {self._print(power)})"  # type: ignore[attr-defined]


class _NumPy(_Names, NumPyPrinter):
    root, pow = "numpy.sqrt", "numpy.power"

    def _print_Piecewise(self, expr: Any) -> str:
        text = "numpy.nan"
        for value, condition in reversed(expr.args):
            if condition == sympy.true:
                text = self._print(value)
            else:
                text = f"numpy.where({self._print(condition)}, {self._print(value)}, {text})"
        return text

    def _print_And(self, expr: Any) -> str:
        return "(" + " & ".join(f"({self._print(part)})" for part in expr.args) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " | ".join(f"({self._print(part)})" for part in expr.args) + ")"

    def _print_Max(self, expr: Any) -> str:
        return self._nested("numpy.maximum", expr.args)

    def _print_Min(self, expr: Any) -> str:
        return self._nested("numpy.minimum", expr.args)

    def _nested(self, function: str, parts: Sequence[Any]) -> str:
        if len(parts) == 1:
            return str(self._print(parts[0]))
        return f"{function}({self._print(parts[0])}, {self._nested(function, parts[1:])})"


class _C(_Names, C99CodePrinter):
    root, pow = "sqrt", "pow"

    def _print_Piecewise(self, expr: Any) -> str:
        text = "(0.0/0.0)"
        for value, condition in reversed(expr.args):
            if condition == sympy.true:
                text = f"({self._print(value)})"
            else:
                text = f"(({self._print(condition)}) ? ({self._print(value)}) : {text})"
        return text


_PYTHON_HEAD = """
def power2(x):
    return x * x


def power3(x):
    return x * x * x


def power4(x):
    return power2(power2(x))


def bernoulli(w):
    small = abs(w) < 0.1
    s, u = w * w, numpy.where(small, 1.0, w)
    series = 1.0 - w / 2.0 + s * (1.0 / 12.0 - s * (1.0 / 720.0 - s * (1.0 / 30240.0 - s / 1209600.0)))
    return numpy.where(small, series, u / (numpy.exp(u) - 1.0))


def bernoulli_slope(w):
    small = abs(w) < 0.3
    s, u = w * w, numpy.where(small, 1.0, w)
    series = w * (1.0 / 6.0 - s * (1.0 / 180.0 - s * (1.0 / 5040.0 - s * (1.0 / 151200.0 - s / 4790016.0)))) - 0.5
    b = u / (numpy.exp(u) - 1.0)
    return numpy.where(small, series, b * ((1.0 - b) / u - 1.0))
"""


def formulas_of(equations: Equations) -> Formulas:
    """Return the source code of equations."""
    equations = guarded(equations)
    relaxing = gates(equations)
    drifting = [name for name in equations.states if name not in relaxing and name != equations.potential]
    potential = equations.potential
    ordered = [*relaxing, *drifting]
    own, further = slopes(equations, [potential, *drifting])
    definitions = {**equations.definitions, **further}
    outputs = {
        "rates": {f"rate {potential}": equations.derivatives[potential]},
        "relaxation": {
            **{f"speed {name}": gate.rate for name, gate in relaxing.items()},
            **{f"target {name}": gate.target for name, gate in relaxing.items()},
        },
        "drift": {f"rate {name}": equations.derivatives[name] for name in drifting},
        "slopes": {f"slope {name}": expression for name, expression in own.items()},
    }
    every = {symbol(name): expression for part in outputs.values() for name, expression in part.items()}
    needed = {name.name for entry in (every | _needed(definitions, every)).values() for name in entry.free_symbols}
    parameters = tuple(
        Parameter(name=name, value=entry.value, unit=entry.unit, meaning=entry.meaning)
        for name, entry in equations.parameters.items()
        if name in needed
    )
    plain = _statements(definitions, {name: part for name, part in outputs.items() if name != "slopes"})
    whole = _statements(definitions, outputs)
    return Formulas(
        name=equations.name,
        potential=_variable(equations, potential, gate=False),
        states=tuple(_variable(equations, name, gate=name in relaxing) for name in ordered),
        parameters=parameters,
        python=_python(
            {name: _pruned(whole if name == "slopes" else plain, part) for name, part in outputs.items()},
            outputs,
            [potential, *ordered],
            [entry.name for entry in parameters],
        ),
        c=_c(plain),
        c_slopes=_c(whole),
        notes=tuple(equations.notes),
    )


def _variable(equations: Equations, name: str, *, gate: bool) -> Variable:
    entry = equations.states[name]
    return Variable(name=name, unit=entry.unit, start=entry.value, meaning=entry.meaning, gate=gate)


def _statements(definitions: Statements, outputs: Mapping[str, Outputs]) -> dict[sympy.Symbol, sympy.Expr]:
    """Return statements that end in all outputs, each after what it needs, common parts once."""
    given = {symbol(name): expression for part in outputs.values() for name, expression in part.items()}
    whole = merged(_inlined(_needed(definitions, given), given))
    names = list(whole)
    shared, reduced = sympy.cse(list(whole.values()), symbols=sympy.numbered_symbols("common ", real=True))
    conditions = {name: part for name, part in shared if part.is_Boolean}  # they stay where they are asked
    known = {name: part.subs(conditions) for name, part in [*shared, *zip(names, reduced, strict=True)]}
    last = {name: known.pop(name) for name in given}
    return {**_needed(known, last), **last}


def _pruned(statements: Statements, outputs: Outputs) -> dict[sympy.Symbol, sympy.Expr]:
    """Return those statements that some of the outputs need."""
    last = {symbol(name): statements[symbol(name)] for name in outputs}
    return {**_needed(statements, last), **last}


def _needed(definitions: Statements, outputs: Statements) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the definitions that outputs need, each after those that it needs itself."""
    order: dict[sympy.Symbol, sympy.Expr] = {}

    def visit(expression: sympy.Expr) -> None:
        for name in sorted(expression.free_symbols, key=str):
            if name not in order and name in definitions:
                visit(definitions[name])
                order[name] = definitions[name]

    for expression in outputs.values():
        visit(expression)
    return order


def _inlined(order: Statements, outputs: Statements) -> dict[sympy.Symbol, sympy.Expr]:
    """Return statements in which what one other alone uses is part of it: divisors of divisors become factors."""
    whole = {**order, **outputs}
    users: dict[sympy.Symbol, set[sympy.Symbol]] = {name: set() for name in order}
    for name, expression in whole.items():
        for other in expression.free_symbols & users.keys():
            users[other].add(name)
    for name in order:  # each after what it uses
        if len(users[name]) == 1:
            (user,) = users[name]
            inner = whole.pop(name)
            whole[user] = whole[user].xreplace({name: inner})
            for other in inner.free_symbols & users.keys():
                users[other] = {user if found == name else found for found in users[other]}
    return whole


def _python(
    bodies: Mapping[str, Statements],
    outputs: Mapping[str, Outputs],
    variables: Sequence[str],
    parameters: Sequence[str],
) -> str:
    printer = _NumPy({"fully_qualified_modules": True})
    text = [_PYTHON_HEAD]
    for function, part in outputs.items():
        statements = bodies[function]
        used = {name.name for expression in statements.values() for name in expression.free_symbols}
        lines = [f"def {function}(time_, fields, states, p):"]
        for k, name in enumerate(variables):
            if name in used:
                lines.append(f"    {variable(name)} = " + ("fields[0]" if k == 0 else f"states[{k - 1}]"))
        lines += [f"    {variable(name)} = getattr(p, {name!r})" for name in parameters if name in used]
        lines.append(f"    result = numpy.empty(({len(part)}, len(fields[0])))")
        rows = {name: k for k, name in enumerate(part)}
        for left, expression in statements.items():
            target = f"result[{rows[left.name]}]" if left.name in rows else variable(left.name)
            lines.append(f"    {target} = {printer.doprint(expression)}")
        half = f".reshape(2, {len(part) // 2}, -1)" if function == "relaxation" else ""
        lines.append(f"    return result{half}")
        text.append("\n".join(lines))
    return "\n\n\n".join(text) + "\n"


def _c(statements: Statements) -> str:
    printer = _C({"math_macros": {}})
    return "\n".join(
        f"const double {variable(left.name)} = {printer.doprint(expression)};"
        for left, expression in statements.items()
    )
