r"""One step of kinetics that are written as expressions, as C: of fields that exchange, gates and other states.

With a step k, scales :math:`\sigma_i` and the stoichiometry :math:`\nu`, at each node

.. math:: u_i \leftarrow u_i + \sigma_i\sum_j \nu_{ij}\,(k\,r_j),\qquad
    X \leftarrow X_\infty + (X - X_\infty)\,e^{-k\rho},\qquad Y \leftarrow Y + k\,\varphi,

with rates, gates and drifts at the start of the step (first order) or at the middle that half a step of the same kind
leads to (second order), and rates with the mean over the step of gates that hold what these move: the steps of
:class:`homfem.macro.reaction.NodalReaction`. One number :math:`k\,r_j` goes into every field that shares the rate.
"""

from __future__ import annotations

from collections.abc import Sequence

from homfem.kinetics.expressions import Expression, Node
from homfem.kinetics.ionic.kernels import C_HEAD
from homfem.kinetics.point import PointKinetics
from homfem.kinetics.written import TIME

_FUNCTIONS = {"abs": "fabs", "min": "least", "max": "greatest"}
#: What NumPy returns where one is not a number.
_EXTREMA = """
double expm1(double);
static inline double least(double a, double b) { return a < b ? a : (b <= a ? b : a + b); }
static inline double greatest(double a, double b) { return a > b ? a : (b >= a ? b : a + b); }
"""


def scale_name(field: str) -> str:
    """Return the name of a field's scale among the parameters of the code."""
    return f"scale of {field}"


def step_source(kinetics: PointKinetics, order: int, arrays: Sequence[str] = ()) -> str:
    """Return the C code of a step of kinetics that are ``written``.

    Parameters
    ----------
    kinetics
        The kinetics.
    order
        1 or 2.
    arrays
        Names of the parameters and scales (:func:`scale_name`) that have a value at each node.
    """
    fields, states = [entry.name for entry in kinetics.fields], [entry.name for entry in kinetics.states]
    names = [*(entry.name for entry in kinetics.parameters), *map(scale_name, fields)]
    numbers = [name for name in names if name not in arrays]
    lines = [C_HEAD, _EXTREMA]
    lines += [
        "void step(long n, long ld, double time, double step, double *const *fields, double *restrict states,",
        "          const double *numbers, const double *const *arrays)",
        "{",
    ]
    lines += [f"  double *restrict f{k} = fields[{k}];" for k in range(len(fields))]
    lines += [f"  double *restrict x{k} = states + {k}*ld;" for k in range(len(states))]
    lines += [f"  const double {_variable(name)} = numbers[{k}];" for k, name in enumerate(numbers)]
    lines += [f"  const double *restrict a{k} = arrays[{k}];" for k in range(len(arrays))]
    lines += ["  #pragma omp simd", "  for (long i = 0; i < n; i++) {"]
    lines += [f"    const double {_variable(name)} = a{k}[i];" for k, name in enumerate(arrays)]
    places = [*(f"f{k}[i]" for k in range(len(fields))), *(f"x{k}[i]" for k in range(len(states)))]
    start = [f"y{k}" for k in range(len(places))]
    lines += [f"    const double {name} = {place};" for name, place in zip(start, places, strict=True)]
    if order == 2:
        middle = [f"z{k}" for k in range(len(places))]
        lines += [f"    double {name};" for name in middle]
        lines += _stage(kinetics, at=start, to=middle, time="time", step="(0.5*step)")
        lines += _stage(kinetics, at=middle, to=places, time="(time + 0.5*step)", step="step", last=True)
    else:
        lines += _stage(kinetics, at=start, to=places, time="time", step="step", last=True)
    return "\n".join([*lines, "  }", "}", ""])


def _stage(
    kinetics: PointKinetics, *, at: Sequence[str], to: Sequence[str], time: str, step: str, last: bool = False
) -> list[str]:
    """Return the statements that take y to new values, with rates at given ones."""
    written, count = kinetics.written, len(kinetics.fields)
    variables = (*kinetics.fields, *kinetics.states)
    lines = ["    {", f"      const double {_variable(TIME)} = {time};"]
    lines += [f"      const double {_variable(e.name)} = {value};" for e, value in zip(variables, at, strict=True)]
    lines += [f"      const double {_variable(name)} = {in_c(entry)};" for name, entry in written.definitions]
    held = kinetics.holding if last else ()
    if not held:
        lines += [f"      const double moved{j} = {step}*({in_c(rate)});" for j, (_, rate) in enumerate(written.rates)]
    for k, (_, speed, target) in enumerate(written.gates):
        lines += [f"      const double speed{k} = {in_c(speed)}, target{k} = {in_c(target)};"]
    lines += [f"      const double drift{k} = {in_c(entry)};" for k, (_, entry) in enumerate(written.drifts)]
    if held:
        lines += _with_means(kinetics, held, step)
    rows = kinetics.stoichiometry
    for i, field in enumerate(kinetics.fields):
        row = rows[i] if rows is not None else tuple(float(i == j) for j in range(count))
        terms = "".join(
            f" + ({number!r}*{_variable(scale_name(field.name))})*moved{j}" for j, number in enumerate(row) if number
        )
        lines.append(f"      {to[i]} = y{i}{terms};")
    for k in range(len(kinetics.states)):
        y, place, gates = f"y{count + k}", to[count + k], len(written.gates)
        new = f"target{k} + ({y} - target{k})*exp(-{step}*speed{k})" if k < gates else f"{y} + {step}*drift{k - gates}"
        lines.append(f"      {place} = {new};")
    return [*lines, "    }"]


def _with_means(kinetics: PointKinetics, held: Sequence[int], step: str) -> list[str]:
    """Return the statements of what rates move, with the means over the step of the gates that hold it."""
    written, lines = kinetics.written, []
    lines += [f"      double moved{j};" for j in range(len(written.rates))]
    lines.append("      {")
    for k in held:
        y, name = f"y{len(kinetics.fields) + k}", _variable(kinetics.states[k].name)
        part = f"(speed{k} > 0.0 ? -expm1(-{step}*speed{k})/({step}*speed{k}) : 1.0)"
        lines.append(f"        const double {name} = target{k} + ({y} - target{k})*{part};")
    lines += [f"        const double {_variable(name)} = {in_c(entry)};" for name, entry in written.definitions]
    lines += [f"        moved{j} = {step}*({in_c(rate)});" for j, (_, rate) in enumerate(written.rates)]
    return [*lines, "      }"]


def in_c(expression: Expression) -> str:
    """Return an expression in C.

    Example
    -------
    >>> from homfem.kinetics.expressions import parse_expression
    >>> in_c(parse_expression("rate", "k*u^2/(1 + min(u, 2))", ["k", "u"]))
    '((v_k*power2(v_u))/(1.0 + least(v_u, 2.0)))'
    """
    return _in_c(expression.tree)


def _in_c(node: Node) -> str:
    if node.operation == "name":
        return _variable(node.name)
    if node.operation == "number":
        return repr(float(node.number))
    parts = [_in_c(part) for part in node.parts]
    if node.operation == "negative":
        return f"(-{parts[0]})"
    if node.operation == "**":
        power = node.parts[1]
        small = power.number if power.operation == "number" and power.number in (2.0, 3.0, 4.0) else 0.0
        return f"power{small:.0f}({parts[0]})" if small else f"pow({parts[0]}, {parts[1]})"
    if node.operation in ("+", "-"):
        return f"({parts[0]} {node.operation} {parts[1]})"
    if node.operation in ("*", "/"):
        return f"({parts[0]}{node.operation}{parts[1]})"
    return f"{_FUNCTIONS.get(node.operation, node.operation)}({', '.join(parts)})"


def _variable(name: str) -> str:
    return f"v_{name.replace(' ', '__')}"
