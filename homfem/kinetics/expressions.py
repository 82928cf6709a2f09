"""Expressions that a user writes, such as ``"k*u*(1 - u)"``: parsed as data, never run as a program.

The text is taken apart by Python's parser and rebuilt from a list of what is allowed: numbers, names that are known,
``+ - * / **`` (``^`` is ``**``), parentheses and the functions of :data:`FUNCTIONS`. Values are vectorised; derivatives
are exact (forward mode: the chain rule on the tree), for arrays as for numbers.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.parameters import Array, InputError, nearest_name

Value = Any  # a number or an array of shape (n,)

#: What an expression may call: of one argument, with the derivative from the argument and the value.
_OF_ONE: Mapping[str, tuple[Callable[[Value], Value], Callable[[Value, Value], Value]]] = {
    "exp": (np.exp, lambda _a, f: f),
    "log": (np.log, lambda a, _f: 1.0 / a),
    "sqrt": (np.sqrt, lambda _a, f: 0.5 / f),
    "sin": (np.sin, lambda a, _f: np.cos(a)),
    "cos": (np.cos, lambda a, _f: -np.sin(a)),
    "tanh": (np.tanh, lambda _a, f: 1.0 - f * f),
    "abs": (np.abs, lambda a, _f: np.sign(a)),
}
_OF_TWO: Mapping[str, Callable[[Value, Value], Value]] = {"min": np.minimum, "max": np.maximum}
FUNCTIONS = (*_OF_ONE, *_OF_TWO)
CONSTANTS: Mapping[str, float] = {"pi": math.pi}
_SIGNS: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "**": 4}
_ONE = np.float64(1.0)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
LONGEST, DEEPEST = 2000, 100


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: a ``"number"``, a ``"name"``, ``"negative"``, a sign or a function with its parts."""

    operation: str
    parts: tuple[Node, ...] = ()
    name: str = ""
    number: float = 0.0

    def __str__(self) -> str:
        if self.operation in ("name", "number"):
            return self.name or repr(self.number).removesuffix(".0")
        if self.operation == "negative":
            return f"-{self.inside(0, _STRENGTH['negative'])}"
        if self.operation in _STRENGTH:
            strength, power = _STRENGTH[self.operation], self.operation == "**"
            left, right = self.inside(0, strength + power), self.inside(1, strength + (not power))
            return f"{left}**{right}" if power else f"{left} {self.operation} {right}"
        return f"{self.operation}({', '.join(map(str, self.parts))})"

    def inside(self, part: int, strength: int) -> str:
        """Return a part as text, in parentheses where it binds less."""
        text = str(self.parts[part])
        return f"({text})" if _STRENGTH.get(self.parts[part].operation, 9) < strength else text


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A parsed expression.

    Parameters
    ----------
    text : str
        As it was written.
    tree : Node
        What it means.

    Example
    -------
    >>> growth = parse_expression("rate", "k*u*(1 - u)", ["k", "u"])
    >>> sorted(growth.names), growth.value({"k": 2.0, "u": np.array([0.0, 0.5])})
    (['k', 'u'], array([0. , 0.5]))
    >>> growth.slopes({"k": 2.0, "u": np.array([0.0, 0.5])}, ["u"])[1]
    {'u': array([2., 0.])}
    """

    text: str
    tree: Node

    @property
    def names(self) -> frozenset[str]:
        """The names that stand in it."""
        return frozenset(node.name for node in _walk(self.tree) if node.operation == "name")

    def value(self, names: Mapping[str, Value]) -> Value:
        """Return the value for a number or an array of each name; outside its domain it is NaN or infinite."""
        with np.errstate(all="ignore"):
            return _value(self.tree, names)

    def slopes(self, names: Mapping[str, Value], wrt: Collection[str]) -> tuple[Value, dict[str, Value]]:
        """Return the value and its derivatives with respect to names; those that are zero everywhere are left out.

        At the kink of ``abs`` the derivative is 0; where both arguments of ``min`` or ``max`` agree, that of the first.
        """
        with np.errstate(all="ignore"):
            return _slopes(self.tree, names, frozenset(wrt))


def check_name(what: str, name: Any, taken: Collection[str] = ()) -> str:
    """Return a name that can stand in an expression; raise :class:`InputError` for any other, and for a taken one."""
    allowed = "a name of letters, digits and _, that begins with a letter"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(what, name, allowed)
    reserved = {*FUNCTIONS, *CONSTANTS, *taken}
    if name in reserved:
        raise InputError(what, name, f"{allowed}, and has no other meaning", f"{name!r} has one already.")
    return name


def parse_expression(what: str, text: Any, names: Collection[str]) -> Expression:
    """Return the expression that a text says.

    Parameters
    ----------
    what
        The parameter's name, for messages.
    text
        The expression; a number is one too.
    names
        The names that may stand in it.

    Raises
    ------
    InputError
        For anything but an arithmetic expression of these names: with the nearest name, or what is meant instead.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        text = repr(text)
    allowed = f"an expression of {', '.join(names)}" if names else "an expression of numbers"
    if not isinstance(text, str) or not text.strip() or "#" in text:
        raise InputError(what, text, allowed, "It is a string, such as 'u*(1 - u)'." if names else "")
    text = " ".join(text.split())
    if len(text) > LONGEST:
        raise InputError(what, text, f"{allowed} of at most {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = ast.parse(text.replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        remedy = "A product needs its sign: 2*u, and every parenthesis its other one."
        raise InputError(what, text, allowed, remedy) from error
    return Expression(text=text, tree=_Reader(what, text, allowed, tuple(names)).read(parsed, 0))


@dataclass(frozen=True, slots=True)
class _Reader:
    """What turns Python's tree into ours, with what messages need."""

    what: str
    text: str
    allowed: str
    names: tuple[str, ...]

    def refuse(self, remedy: str) -> InputError:
        return InputError(self.what, self.text, self.allowed, remedy)

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.refuse(f"It has more than {DEEPEST} operations inside one another, or in a row.")
        if isinstance(node, ast.Constant):
            return self.number(node.value)
        if isinstance(node, ast.Name):
            return self.name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            part = self.read(node.operand, depth + 1)
            return Node("negative", (part,)) if isinstance(node.op, ast.USub) else part
        if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
            return Node(_SIGNS[type(node.op)], (self.read(node.left, depth + 1), self.read(node.right, depth + 1)))
        if isinstance(node, ast.Call):
            return self.call(node, depth)
        raise self.refuse(f"It has numbers, names, + - * / ** and the functions {', '.join(FUNCTIONS)}; nothing else.")

    def number(self, value: Any) -> Node:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse("Its numbers are real.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.refuse("One of its numbers is too large.")
        return Node("number", number=number)

    def name(self, name: str) -> Node:
        if name in self.names:
            return Node("name", name=name)
        if name in CONSTANTS:
            return Node("number", number=CONSTANTS[name])
        if name in FUNCTIONS:
            raise self.refuse(f"{name} is a function: {name}(...).")
        near = nearest_name(name, [*self.names, *CONSTANTS])
        raise self.refuse(f"{name!r} is unknown. {near}".strip())

    def call(self, node: ast.Call, depth: int) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            if name in self.names or isinstance(node.func, ast.Constant):
                raise self.refuse("A product needs its sign: u*(1 - u).")
            near = nearest_name(name, FUNCTIONS)
            called = repr(name) if name else "What is called"
            raise self.refuse(f"{called} is no function; there are {', '.join(FUNCTIONS)}. {near}".strip())
        count = 1 if name in _OF_ONE else 2
        if node.keywords or len(node.args) != count:
            raise self.refuse(f"{name} takes {count} argument{'s' * (count > 1)}.")
        return Node(name, tuple(self.read(part, depth + 1) for part in node.args))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for part in node.parts:
        yield from _walk(part)


def _value(node: Node, names: Mapping[str, Value]) -> Value:
    operation = node.operation
    if operation == "name":
        return names[node.name]
    if operation == "number":
        return np.float64(node.number)
    return _combine(operation, [_value(part, names) for part in node.parts])


def _combine(operation: str, parts: list[Value]) -> Value:
    """Return the value of an operation on the values of its parts."""
    a = parts[0]
    if operation == "negative":
        return -a
    if operation in _OF_ONE:
        return _OF_ONE[operation][0](a)
    b = parts[1]
    if operation in _OF_TWO:
        return _OF_TWO[operation](a, b)
    if operation == "+":
        return a + b
    if operation == "-":
        return a - b
    if operation == "*":
        return a * b
    if operation == "/":
        return np.true_divide(a, b)
    return _power(a, b)


def _power(a: Value, b: Value) -> Value:
    """Return a to the b; small whole powers by products, which are some ten times as fast."""
    if np.ndim(b) == 0 and b in (1.0, 2.0, 3.0):
        return a if b == 1.0 else a * a if b == 2.0 else a * a * a
    return np.power(np.asarray(a, dtype=np.float64), b)


def _slopes(node: Node, names: Mapping[str, Value], wrt: frozenset[str]) -> tuple[Value, dict[str, Value]]:
    operation = node.operation
    if operation == "name":
        value = names[node.name]
        return value, ({node.name: _ONE} if node.name in wrt else {})
    if operation == "number":
        return np.float64(node.number), {}
    parts = [_slopes(part, names, wrt) for part in node.parts]
    value = _combine(operation, [part[0] for part in parts])
    factors = _factors(node, [part[0] for part in parts], value, [bool(part[1]) for part in parts])
    slopes: dict[str, Value] = {}
    for factor, (_, inner) in zip(factors, parts, strict=True):
        for name, slope in inner.items():
            term = factor if slope is _ONE else factor * slope
            slopes[name] = slopes[name] + term if name in slopes else term
    return value, slopes


def _factors(node: Node, parts: list[Value], value: Value, moves: list[bool]) -> tuple[Value, ...]:
    """Return the derivatives of an operation with respect to its parts; of a part that does not move it is not used."""
    operation, a = node.operation, parts[0]
    if operation == "negative":
        return (-1.0,)
    if operation in _OF_ONE:
        return (_OF_ONE[operation][1](a, value),)
    b = parts[1]
    if operation in ("+", "-"):
        return 1.0, 1.0 if operation == "+" else -1.0
    if operation == "*":
        return b, a
    if operation == "/":
        return np.true_divide(1.0, b), (-value / b if moves[1] else 0.0)
    if operation in _OF_TWO:
        first = np.asarray(a >= b if operation == "max" else a <= b, dtype=np.float64)
        return first, 1.0 - first
    base = np.where(np.equal(b, 0.0), 0.0, b * _power(a, b - 1.0)) if moves[0] else 0.0
    return base, (value * np.log(a) if moves[1] else 0.0)


def as_array(value: Value, size: int) -> Array:
    """Return a value as an array of shape (size,), also of a number."""
    return np.asarray(np.broadcast_to(np.asarray(value, dtype=np.float64), (size,)))
