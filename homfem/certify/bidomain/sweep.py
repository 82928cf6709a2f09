"""Bidomains of one mesh that differ by numbers: a few solves serve them all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from homfem.brackets import EPS, relative_gap
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.bidomain.family import Family
from homfem.certify.bidomain.problem import MEMBRANE, Resistance, Tissue, sides, tissue_of
from homfem.certify.bidomain.solve import homogenize_bidomain, solve_outside
from homfem.certify.diffusion import Diffusion, solve_diffusion
from homfem.certify.diffusion.medium import Medium
from homfem.certify.loop import measured
from homfem.keywords import inherits, takes
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.membranes import find_membranes
from homfem.parameters import Array, InputError, check_integer, check_number
from homfem.tensors import EffectiveTensor
from homfem.tensors.bidomain import UNIT, BidomainTensors, with_membrane

log = logging.getLogger("homfem")

#: A bracket of combined fields that is so many times as wide as those that were solved, their logarithms interpolated,
#: asks for another solve.
WIDER = 1.2
#: Conductivities that are multiples of each other up to this, relatively, have one shape.
ALIKE = 1e-14


@takes(Accuracy)
@inherits(homogenize_bidomain)
def sweep_bidomain(
    cell: UnitCell,
    conductivities: Mapping[str, Coefficient] | Sequence[Mapping[str, Coefficient]],
    resistances: Resistance | Sequence[Resistance] = 0.0,
    *,
    scales: float | Sequence[float] = 1.0,
    membrane: str = MEMBRANE,
    solves: int = 3,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> tuple[BidomainTensors, ...]:
    r"""Return the bidomains of a cell for several conductivities, resistances of its junctions and sizes; collective.

    They share the mesh and its set-up. Inside, the cell is solved for the two that differ most, and where the bracket
    of another one is the widest for one more; the best combinations of these fields give the guaranteed bounds of all
    (:mod:`homfem.certify.bidomain.family`). The tensor outside is a multiple of one that is solved once. This holds
    among conductivities of each phase that are multiples of each other, as numbers are; for others (matrices with other
    axes or ratios, other functions) anew. Cells of one shape and another size have the tensors of their junctions at
    the resistance per length, and a membrane area that goes with the inverse of their size.

    Parameters
    ----------
    cell
    conductivities
        As of :func:`homogenize_bidomain`: one for all, or a sequence.
    resistances
        As ``resistance`` there: one for all, or a sequence; all > 0 and for the same groups of faces, or all zero.
    scales
        By what all lengths of the cell are multiplied, > 0: one for all, or a sequence.
    membrane
    solves
        At most so many cells are solved inside, >= 1; what the bounds lose by it is in them.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them. A tolerance refines the mesh for one in the middle.

    Returns
    -------
    tuple of BidomainTensors
        In the order of the sequences, which have one length.

    Raises
    ------
    InputError
        For sequences of different lengths, numbers that are not positive, resistances of different faces.
    BudgetError, MemoryLimitError
    PercolationError
    ConvergenceError

    Examples
    --------
    >>> from homfem.cells import myocyte
    >>> cell = myocyte(99.0, 20.0, None, 1.0, staggered=False, joined="x", end_patch=1.0, resolution=1 / 3)
    >>> found = sweep_bidomain(cell, {"intracellular": 0.5, "extracellular": 2.0}, [0.1, 0.2, 0.4])
    >>> [round(float(tissue.intracellular.value[0, 0]), 6) for tissue in found]
    [0.31746, 0.238095, 0.15873]
    >>> salines = [{"intracellular": 0.5, "extracellular": sigma} for sigma in (1.0, 2.0)]
    >>> [round(float(tissue.extracellular.value[0, 0]), 6) for tissue in sweep_bidomain(cell, salines, 0.2)]
    [0.047619, 0.095238]
    """
    check_integer("solves", solves, at_least=1)
    start = time.perf_counter()
    given = _given(conductivities, resistances, scales)
    tissue = tissue_of(cell, given[0][0], membrane)
    points = _points(tissue, given)
    inside: dict[int, EffectiveTensor] = {}
    outside: dict[int, EffectiveTensor] = {}
    for members, factors in _alike([point.inside for point in points]):
        shared = [points[k] for k in members]
        for k, tensor in zip(members, _inside(tissue, shared, factors, Accuracy(**accuracy), solves), strict=True):
            inside[k] = replace(tensor, config=dict(config or {}))
    for members, factors in _alike([point.outside for point in points]):
        middle = _middle(np.log(factors))
        solved = solve_outside(replace(tissue, outside=points[members[middle]].outside), config, **accuracy)
        for k, factor in zip(members, factors / factors[middle], strict=True):
            outside[k] = _multiple(solved, float(factor[0]))
    seconds = {"total": time.perf_counter() - start}  # of all
    found = []
    for k, point in enumerate(points):
        own = [_of_size(replace(tensor, seconds=seconds), point.scale) for tensor in (inside[k], outside[k])]
        first, second = (with_membrane(tensor, tissue.area / point.scale) for tensor in own)
        found.append(BidomainTensors(intracellular=first, extracellular=second, resistance=point.resistances))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Point:
    """One of the bidomains of a sweep: resistances of the groups of faces, lengths times ``scale``."""

    inside: Mapping[str, Coefficient]
    outside: Mapping[str, Coefficient]
    resistances: dict[str, float]
    scale: float

    def permeabilities(self, tissue: Tissue) -> dict[str, float]:
        """Return those of the faces of the cell as it is that has the same tensor."""
        return tissue.permeabilities({name: value / self.scale for name, value in self.resistances.items()})


def _given(conductivities: Any, resistances: Any, scales: Any) -> list[tuple[Any, Any, Any]]:
    """Return conductivities, resistances and scale of each of a sweep: sequences of one length, or one for all."""
    named = {"resistances": resistances, "conductivities": conductivities, "scales": scales}
    many = {name: list(value) for name, value in named.items() if isinstance(value, (Sequence, np.ndarray))}
    for name, values in many.items():
        if not values:
            raise InputError(name, values, "at least one")
    lengths = {name: len(values) for name, values in many.items()}
    count = max(lengths.values(), default=1)
    for name, length in lengths.items():
        if length != count:
            first = next(other for other in lengths if lengths[other] == count)
            raise InputError(name, length, f"one for all, or a sequence of {count}, as {first}")
    rows = {name: many.get(name, [value] * count) for name, value in named.items()}
    return list(zip(rows["conductivities"], rows["resistances"], rows["scales"], strict=True))


def _points(tissue: Tissue, given: Sequence[tuple[Any, Any, Any]]) -> list[_Point]:
    points = []
    for k, (conductivities, resistance, scale) in enumerate(given):
        inside, outside = sides(tissue.cell, conductivities, f"conductivities[{k}]")
        own = tissue.resistances(resistance)
        resisting = {name: value for name, value in own.items() if value > 0.0}
        size = check_number(f"scales[{k}]", scale, above=0.0)
        points.append(_Point(inside=inside, outside=outside, resistances=own, scale=size))
        first = [name for name, value in points[0].resistances.items() if value > 0.0]
        if list(resisting) != first:
            wanted = f"> 0 for the faces of the first one, {first}" if first else "0, as the first one"
            raise InputError(f"resistances[{k}]", resistance, wanted, "Sweep perfect contact by itself.")
    return points


def _alike(given: Sequence[Mapping[str, Coefficient]]) -> Iterator[tuple[list[int], Array]]:
    """Yield the places of conductivities that are multiples of each other phase by phase, and their factors.

    Factors have the shape (places, phases), and those of the first place are 1.
    """
    left = list(range(len(given)))
    while left:
        first = given[left[0]]
        rows = {k: [_factor(given[k].get(name), value) for name, value in first.items()] for k in left
                if list(given[k]) == list(first)}  # fmt: skip
        members = [k for k, row in rows.items() if None not in row]
        yield members, np.array([rows[k] for k in members], dtype=float)
        left = [k for k in left if k not in members]


def _factor(value: Any, reference: Any) -> float | None:
    """Return what a coefficient is a multiple of another one by, > 0, if it is."""
    if value is reference:
        return 1.0
    if callable(value) or callable(reference):
        return None
    one, other = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    if one.shape != other.shape or not one.size:
        return None
    at = np.unravel_index(int(np.abs(other).argmax()), other.shape)
    factor = float(one[at] / other[at]) if other[at] != 0.0 else 0.0
    size = ALIKE * float(np.abs(one).max())
    return factor if factor > 0.0 and np.allclose(one, factor * other, rtol=0.0, atol=size) else None


def _middle(places: Array) -> int:
    """Return which of the places (rows) is the least far from all others."""
    return int(_distances(places).max(axis=1).argmin())


def _distances(places: Array) -> Array:
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=2))


def _multiple(tensor: EffectiveTensor, factor: float) -> EffectiveTensor:
    """Return the tensor of coefficients that are a multiple; the bounds make room for the products' round-off."""
    if factor == 1.0:
        return tensor
    assert tensor.lower is not None  # a sweep without bounds is refused
    assert tensor.upper is not None
    room = EPS * factor * tensor.dimension * float(np.abs(tensor.upper).max())
    conducting = np.diag((np.diag(tensor.upper) > 0.0).astype(float))
    return replace(
        tensor,
        value=factor * tensor.value,
        lower=factor * tensor.lower - room * conducting,
        upper=factor * tensor.upper + room * conducting,
        roundoff=factor * tensor.roundoff + room,
        geometric_error=factor * tensor.geometric_error,
    )


def _of_size(tensor: EffectiveTensor, scale: float) -> EffectiveTensor:
    """Return the tensor of a cell whose lengths are multiplied: its interfaces have less area per volume."""
    area = tensor.interface_area
    return tensor if area is None else replace(tensor, interface_area=area / scale)


def _inside(
    tissue: Tissue, points: Sequence[_Point], factors: Array, accuracy: Accuracy, solves: int
) -> list[EffectiveTensor]:
    """Return the tensors inside, of conductivities that are multiples of those of the first; collective."""
    family, weights = _family(tissue, points, factors, accuracy)
    _fill(family, weights, solves)
    cell = tissue.cell
    record = {
        **measured(cell),
        "unit": UNIT,
        "physics": "conductivity",
        "active_phases": tuple(name for name in cell.phase_names if name in points[0].inside),
        "dofs": family.dofs,
        "iterations": family.iterations,
    }
    links = [tissue.permeabilities(point.resistances) for point in points]
    return [EffectiveTensor(**family.bracket(w), **record, membranes=own)
            for w, own in zip(weights, links, strict=True)]  # fmt: skip


def _family(tissue: Tissue, points: Sequence[_Point], factors: Array, accuracy: Accuracy) -> tuple[Family, list[Array]]:
    """The medium of the middle without fields, and the weights of its phases and links for each point; collective."""
    permeabilities = [point.permeabilities(tissue) for point in points]
    mean = np.exp(np.log(factors).mean(axis=0))
    inside = {
        name: value if factor == 1.0 else factor * np.asarray(value)
        for (name, value), factor in zip(points[0].inside.items(), mean, strict=True)
    }
    middle = {name: float(np.exp(np.mean([np.log(own[name]) for own in permeabilities]))) for name in permeabilities[0]}
    physics = Diffusion(coefficients=inside, membranes=middle, physics="conductivity", lower_degree=1, unit=UNIT)
    physics, plan = physics.prepared(tissue.cell, accuracy)
    if not accuracy.between_bounds(tissue.cell, "periodic", wanted=accuracy.bounds is not False):
        raise InputError("bounds", accuracy.bounds, "those of a mesh of straight simplices: a sweep is made of both")
    active = _meshed(tissue, physics, plan)
    # Permeabilities that are numbers of names tell which link belongs to which name.
    names = {name: k + 1.0 for k, name in enumerate(physics.membranes)}
    marked = find_membranes(active, names) if names else None
    places = [] if marked is None else [round(h / active.length) - 1 for _, _, h in marked.links]
    medium = Medium(
        cell=active,
        coefficient=diffusion_coefficient(active, {name: inside[name] for name in active.phase_names}),
        membranes=marked,
        loads=physics.loads(tissue.cell.dimension),
        backend=plan.backend,
        boundary="periodic",
    )
    column = {name: k for k, name in enumerate(inside)}
    phases = [column[name] for name in medium.cell.phases]
    links = [np.array(list(own.values()))[places] * active.length for own in permeabilities]
    weights = [np.concatenate([own[phases], h]) for own, h in zip(factors / mean, links, strict=True)]
    return Family(medium=medium, degree=plan.degree, rtol=plan.rtol), weights


def _meshed(tissue: Tissue, physics: Diffusion, plan: Plan) -> UnitCell:
    """Return what conducts inside, refined where a tolerance asks for it; collective."""
    if plan.tolerance is None:
        return physics.active(tissue.cell)
    words = {"tolerance": plan.tolerance, "max_dofs": plan.max_dofs, "degree": plan.degree, "rtol": plan.rtol}
    return solve_diffusion(
        tissue.cell,
        physics.coefficients,
        membranes=physics.membranes,
        physics="conductivity",
        lower_degree=1,
        unit=UNIT,
        **words,  # type: ignore[arg-type]
    ).cell


def _fill(family: Family, weights: Sequence[Array], solves: int) -> None:
    """Solve for the weights that differ most, and for those between them whose bracket is much wider; collective.

    Only ratios of weights matter: all times a number have the same fields.
    """
    places = np.log(weights)
    apart = _distances(places - places.mean(axis=1, keepdims=True))
    one, other = np.unravel_index(int(apart.argmax()), apart.shape)
    done = [_middle(places)] if solves == 1 or apart[one, other] <= ALIKE else sorted((int(one), int(other)))
    for k in done:
        family.add(weights[k])
    while len(done) < min(solves, len(weights)) and apart[one, other] > ALIKE:
        gaps = np.log(np.maximum([_gap(family, w) for w in weights], EPS))
        # Of those that were solved by the inverse of the distance: between two on a line that is linear.
        near = 1.0 / np.maximum(apart[:, done], ALIKE)
        wider = gaps - near @ gaps[done] / near.sum(axis=1)
        worst = int(np.argmax(wider))
        log.info("sweep of bidomains: %d solves; the bracket of another one is %.3g times as wide", len(done),
                 np.exp(wider[worst]))  # fmt: skip
        if wider[worst] <= np.log(WIDER):
            break
        family.add(weights[worst])
        done.append(worst)


def _gap(family: Family, weights: Array) -> float:
    found = family.bracket(weights)
    if found["lower"] is None or found["upper"] is None:
        return float("inf")
    return relative_gap(found["lower"], found["upper"])
