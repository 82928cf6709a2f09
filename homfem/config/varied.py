"""The values of keys that vary: lists, ranges, and samples of distributions; numbers may have units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.config.document import key_path, toml_key
from homfem.config.table import refuse_unknown
from homfem.parameters import Array, InputError, UnitError, check_choice, check_integer, check_number
from homfem.quantities import split_quantity

Values = tuple[Any, ...]
_RANGE = ("start", "stop", "number", "spacing")
_SPACINGS = ("linear", "log")
_METHODS = ("latin-hypercube", "random", "sobol")
#: Keys that each distribution needs, and those that it may have.
_DISTRIBUTIONS = {
    "uniform": (("min", "max"), ("spacing",)),
    "normal": (("mean", "standard_deviation"), ("min", "max")),
    "log-normal": (("median", "factor"), ("min", "max")),
}


def parse_grid(value: Any) -> dict[str, Values]:
    """Return the values of each key of ``[grid]`` by its path."""
    return {path: _values(f'"{path}"', entry) for path, entry in _each_once(value)}


def parse_list(value: Any) -> dict[str, Values]:
    """Return the values of each key of ``[list]`` by its path."""
    return parse_grid(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A distribution of a key: its quantiles, and the unit of them; without unit the values are bare numbers."""

    quantile: Callable[[Array], Array]
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Keys that are drawn together.

    Parameters
    ----------
    number
        Number of rows.
    seed
        Seed of the draws.
    method
        ``"latin-hypercube"``, ``"random"`` or ``"sobol"`` (:mod:`scipy.stats.qmc`).
    spreads
        Distribution of each key by its path.
    """

    number: int
    seed: int
    method: str
    spreads: Mapping[str, Spread]

    def rows(self) -> list[Values]:
        """Return the values of the keys, row by row, the same for the same seed."""
        from scipy.stats import qmc

        size, random = len(self.spreads), np.random.default_rng(self.seed)
        if self.method == "random":
            shares = random.random((self.number, size))
        elif self.method == "sobol":
            shares = qmc.Sobol(size, rng=random).random(self.number)
        else:
            shares = qmc.LatinHypercube(size, rng=random).random(self.number)
        shares = np.clip(shares, 2.0**-53, 1.0 - 2.0**-53)  # a quantile of 0 or 1 may be infinite
        columns = [_written(s.quantile(shares[:, k]), s.unit) for k, s in enumerate(self.spreads.values())]
        return list(zip(*columns, strict=True))


def parse_sample(value: Any) -> Sample:
    """Return the checked table ``[sample]``."""
    table = _table(value)
    keys = {key: table.pop(key) for key in ("number", "seed", "method") if key in table}
    for key in ("number", "seed"):
        if key not in keys:
            raise InputError(key, "(missing)", f"given, such as {key} = 16")
    number = check_integer("number", keys["number"], at_least=1)
    method = check_choice("method", keys.get("method", _METHODS[0]), _METHODS)
    if method == "sobol" and number & (number - 1):
        near = 2 ** round(math.log2(number))
        raise InputError("number", number, "a power of 2 with method 'sobol'", f"The nearest is {near}.")
    if not table:
        raise InputError("", sorted(keys), 'a table with keys that are drawn, such as "cell.edge" = { min, max }')
    spreads = {path: _spread(f'"{path}"', entry) for path, entry in _each_once(table)}
    seed = check_integer("seed", keys["seed"], at_least=0)
    return Sample(number=number, seed=seed, method=method, spreads=spreads)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError("", value, 'a table of keys that vary, such as "cell.edge" = [0.1, 0.2]')
    return dict(value)


def _each_once(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what each key is given; refuse one that is given twice, such as quoted and in a table."""
    seen = set()
    for path, entry in _leaves(value):
        if path in seen:
            raise InputError(f'"{path}"', entry, "given once")
        seen.add(path)
        yield path, entry


def _leaves(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield what each key of a config is given, by its path: ``"cell.edge" = ...``, or tables in each other.

    A table that has no other table in it is a range or a distribution.
    """
    for key, entry in _table(value).items():
        parts = above or tuple(key_path(key, "", key, "the path of a key as TOML writes it, such as 'cell.edge'"))
        parts = (*above, key) if above else parts
        if isinstance(entry, dict) and any(isinstance(inner, (dict, list)) for inner in entry.values()):
            yield from _leaves(entry, parts)
        else:
            yield ".".join(map(toml_key, parts)), entry


def _values(name: str, entry: Any) -> Values:
    """Return the values of a list or of a range."""
    if isinstance(entry, list) and entry:
        return tuple(entry)
    if not isinstance(entry, dict) or not entry:
        raise InputError(name, entry, "a list of values, or { start, stop, number, spacing }")
    refuse_unknown(name, entry, _RANGE)
    _require(name, entry, ("start", "stop", "number"))
    number = check_integer(f"{name}.number", entry["number"], at_least=1)
    spacing = check_choice(f"{name}.spacing", entry.get("spacing", "linear"), _SPACINGS)
    (start, stop), unit = _numbers(name, {key: entry[key] for key in ("start", "stop")})
    if spacing == "log":
        for key, end in (("start", start), ("stop", stop)):
            check_number(f"{name}.{key}", end, above=0.0)
    points = np.asarray((np.geomspace if spacing == "log" else np.linspace)(start, stop, number), dtype=np.float64)
    whole = not unit and all(isinstance(entry[key], int) for key in ("start", "stop"))
    if whole and np.all(np.abs(points - points.round()) < 1e-9 * np.abs(points).max(initial=1.0)):
        return tuple(int(point) for point in points.round())
    return _written(points, unit)


def _spread(name: str, entry: Any) -> Spread:
    """Return the distribution of a key."""
    if not isinstance(entry, dict):
        raise InputError(name, entry, '{ min, max }, or { distribution = "normal", mean, standard_deviation }')
    kind = check_choice(f"{name}.distribution", entry.get("distribution", "uniform"), list(_DISTRIBUTIONS))
    needed, others = _DISTRIBUTIONS[kind]
    refuse_unknown(name, entry, ("distribution", *needed, *others))
    _require(name, entry, needed)
    given = {key: entry[key] for key in (*needed, *others) if key in entry and key not in ("spacing", "factor")}
    numbers, unit = _numbers(name, given)
    known = dict(zip(given, numbers, strict=True))
    low, high = known.get("min", -math.inf), known.get("max", math.inf)
    if not low < high:
        raise InputError(f"{name}.max", entry["max"], f"above min = {entry['min']}")
    logarithmic = kind == "log-normal"
    if kind == "uniform":
        logarithmic = check_choice(f"{name}.spacing", entry.get("spacing", "linear"), _SPACINGS) == "log"
    for key in ("min", "max", "median") if logarithmic else ("standard_deviation",):
        if key in known:
            check_number(f"{name}.{key}", known[key], above=0.0)
    if kind == "uniform":
        return Spread(quantile=lambda shares: _between(low, high, shares, logarithmic), unit=unit)
    centre, width = known.get("mean", 0.0), known.get("standard_deviation", 1.0)
    if logarithmic:
        factor = check_number(f"{name}.factor", entry["factor"], above=1.0)
        centre, width = math.log(known["median"]), math.log(factor)
        low = math.log(low) if low > 0.0 else -math.inf
        high = math.log(high) if high < math.inf else math.inf
    normal = _normal(centre, width, low, high)
    return Spread(quantile=(lambda shares: np.exp(normal(shares))) if logarithmic else normal, unit=unit)


def _between(low: float, high: float, shares: Array, logarithmic: bool) -> Array:
    if logarithmic:
        return np.asarray(low * (high / low) ** shares)
    return np.asarray(low + (high - low) * shares)


def _normal(mean: float, deviation: float, low: float, high: float) -> Callable[[Array], Array]:
    """Return the quantiles of a normal distribution between two limits, by its distribution function Phi.

    x(u) = m + s Phi^-1(Phi(a) + u (Phi(b) - Phi(a))), a = (low - m)/s, b = (high - m)/s.
    """
    from scipy.special import ndtr, ndtri

    first, last = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    return lambda shares: np.clip(mean + deviation * ndtri(first + shares * (last - first)), low, high)


def _require(name: str, entry: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in entry:
            raise InputError(f"{name}.{key}", "(missing)", f"given, with {', '.join(k for k in keys if k != key)}")


def _numbers(name: str, given: Mapping[str, Any]) -> tuple[list[float], str]:
    """Return numbers in the unit of the first one, and that unit; empty for bare numbers."""
    numbers, unit = [], ""
    for index, (key, entry) in enumerate(given.items()):
        at, found = f"{name}.{key}", split_quantity(entry)
        if found is None:
            numbers.append(check_number(at, entry))
        elif index and not unit:
            raise UnitError(at, entry, f"a bare number, as {next(iter(given))} is")
        else:
            unit = unit or found.unit
            try:
                numbers.append(found.to(unit))
            except UnitError as error:
                raise UnitError(at, entry, f"a quantity that converts to {unit}", error.remedy) from error
        if unit and found is None:
            raise UnitError(at, entry, f"a quantity that converts to {unit}, as {next(iter(given))}")
    return numbers, unit


def _written(points: Array, unit: str) -> Values:
    """Return numbers as a config has them, to twelve digits: bare, or as text with their unit."""
    rounded = [float(f"{point:.12g}") for point in np.asarray(points, dtype=np.float64)]
    return tuple(f"{point!r} {unit}" for point in rounded) if unit else tuple(rounded)


def in_one_unit(values: Sequence[Any]) -> tuple[list[Any], str]:
    """Return values of a key as numbers in the unit of the first, and that unit; others as they are, without."""
    found = [entry for entry in map(split_quantity, values) if entry is not None]
    if not found or len(found) < len(values):
        return list(values), ""
    try:
        return [entry.to(found[0].unit) for entry in found], found[0].unit
    except UnitError:
        return list(values), ""
