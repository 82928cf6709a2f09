"""Bidomains that differ by the resistance of their junctions alone: a few solves serve them all."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from homfem.brackets import EPS, relative_gap
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.bidomain.family import Family
from homfem.certify.bidomain.problem import MEMBRANE, Resistance, Tissue, tissue_of
from homfem.certify.bidomain.solve import homogenize_bidomain, solve_outside
from homfem.certify.diffusion import Diffusion, solve_diffusion
from homfem.certify.diffusion.medium import Medium
from homfem.certify.loop import measured
from homfem.keywords import inherits, takes
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.membranes import find_membranes
from homfem.parameters import Array, InputError, check_integer
from homfem.tensors import EffectiveTensor
from homfem.tensors.bidomain import UNIT, BidomainTensors, with_membrane

log = logging.getLogger("homfem")

#: A bracket of combined fields that is so many times as wide as those of its neighbours that were solved, or the mean
#: of their logarithms, asks for another solve.
WIDER = 1.2


@takes(Accuracy)
@inherits(homogenize_bidomain)
def sweep_bidomain(
    cell: UnitCell,
    conductivities: Mapping[str, Coefficient],
    resistances: Sequence[Resistance],
    *,
    membrane: str = MEMBRANE,
    solves: int = 3,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> tuple[BidomainTensors, ...]:
    r"""Return the bidomains of a cell for several resistances of its junctions; collective.

    The cell is solved for the least and the largest, and where the bracket of a resistance between them is the widest
    for one more; the best combinations of these fields give the guaranteed bounds of all
    (:mod:`homfem.certify.bidomain.family`). The space between the cells is solved once.

    Parameters
    ----------
    cell
    conductivities
    resistances
        As ``resistance`` of :func:`homogenize_bidomain`, each > 0, all for the same groups of faces.
    membrane
    solves
        At most so many resistances are solved for, >= 1; what the bounds lose by it is in them.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them. A tolerance refines the mesh for one of the resistances.

    Returns
    -------
    tuple of BidomainTensors
        In the order of ``resistances``.

    Raises
    ------
    InputError
        For a resistance that is not positive, for resistances of different faces.
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
    """
    check_integer("solves", solves, at_least=1)
    tissue = tissue_of(cell, conductivities, membrane)
    given = _checked(tissue, resistances)
    start = time.perf_counter()
    outside = solve_outside(tissue, config, **accuracy)
    family, links = _family(tissue, given, Accuracy(**accuracy), config)
    _fill(family, links, solves)
    record = {
        **measured(cell),
        "unit": UNIT,
        "physics": "conductivity",
        "active_phases": tuple(name for name in cell.phase_names if name in tissue.inside),
        "config": dict(config or {}),
        "dofs": family.dofs,
        "iterations": family.iterations,
        "seconds": {"total": time.perf_counter() - start},
    }
    found = []
    for resistance, h in zip(given, links, strict=True):
        own = tissue.permeabilities(resistance)
        tensor = EffectiveTensor(**family.bracket(h), **record, membranes=own)
        inside = with_membrane(tensor, tissue.area)
        found.append(BidomainTensors(intracellular=inside, extracellular=outside, resistance=resistance))
    return tuple(found)


def _checked(tissue: Tissue, resistances: Sequence[Resistance]) -> list[dict[str, float]]:
    if not len(resistances):
        raise InputError("resistances", resistances, "at least one")
    given = [tissue.resistances(resistance) for resistance in resistances]
    for k, own in enumerate(given):
        if not own or not all(own.values()):
            raise InputError(f"resistances[{k}]", resistances[k], "> 0", "Perfect contact is homogenize_bidomain's.")
        if list(own) != list(given[0]):
            raise InputError(f"resistances[{k}]", sorted(own), f"of the faces of the first one, {sorted(given[0])}")
    return given


def _family(
    tissue: Tissue, given: Sequence[Mapping[str, float]], accuracy: Accuracy, config: Mapping[str, Any] | None
) -> tuple[Family, list[Array]]:
    """The medium without fields, and the permeabilities of its links for each resistance, in mesh units; collective."""
    names = list(given[0])
    middle = {name: float(np.exp(np.mean([np.log(own[name]) for own in given]))) for name in names}
    physics = Diffusion(
        coefficients=tissue.inside,
        membranes=tissue.permeabilities(middle),
        physics="conductivity",
        lower_degree=1,
        unit=UNIT,
    )
    physics, plan = physics.prepared(tissue.cell, accuracy)
    if not accuracy.between_bounds(tissue.cell, "periodic", wanted=accuracy.bounds is not False):
        raise InputError("bounds", accuracy.bounds, "those of a mesh of straight simplices: a sweep is made of both")
    if plan.tolerance is None:
        active = physics.active(tissue.cell)
    else:
        words = {"tolerance": plan.tolerance, "max_dofs": plan.max_dofs, "degree": plan.degree, "rtol": plan.rtol}
        active = solve_diffusion(
            tissue.cell,
            tissue.inside,
            membranes=physics.membranes,
            physics="conductivity",
            lower_degree=1,
            unit=UNIT,
            **words,  # type: ignore[arg-type]
        ).cell
    # Permeabilities that are numbers of names tell which link belongs to which name.
    marked = find_membranes(active, {name: k + 1.0 for k, name in enumerate(physics.membranes)})
    places = [round(h / active.length) - 1 for _, _, h in marked.links]
    medium = Medium(
        cell=active,
        coefficient=diffusion_coefficient(active, {name: tissue.inside[name] for name in active.phase_names}),
        membranes=marked,
        loads=physics.loads(tissue.cell.dimension),
        backend=plan.backend,
        boundary="periodic",
    )
    order = list(physics.membranes)
    links = []
    for own in given:
        h = tissue.permeabilities(own)
        links.append(np.array([h[order[place]] * active.length for place in places]))
    return Family(medium=medium, degree=plan.degree, rtol=plan.rtol), links


def _fill(family: Family, links: Sequence[Array], solves: int) -> None:
    """Solve for the permeabilities at both ends, and for those between them whose bracket is much wider; collective."""
    size = np.array([np.log(h).mean() for h in links])
    order = np.argsort(size)
    done = [int(order[len(order) // 2])] if solves == 1 else list(dict.fromkeys([int(order[0]), int(order[-1])]))
    for k in done:
        family.add(links[k])
    while len(done) < min(solves, len(links)):
        gaps = np.log(np.maximum([_gap(family, h) for h in links], EPS))
        solved = sorted(done, key=lambda k: size[k])
        wider = gaps - np.interp(size, size[solved], gaps[solved])
        worst = int(np.argmax(wider))
        log.info("sweep of junctions: %d solves; the bracket of another resistance is %.3g times as wide", len(done),
                 np.exp(wider[worst]))  # fmt: skip
        if wider[worst] <= np.log(WIDER):
            break
        family.add(links[worst])
        done.append(worst)


def _gap(family: Family, h: Array) -> float:
    found = family.bracket(h)
    if found["lower"] is None or found["upper"] is None:
        return float("inf")
    return relative_gap(found["lower"], found["upper"])
