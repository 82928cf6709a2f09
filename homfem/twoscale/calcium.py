r"""The calcium bidomain as the limit of the resolved network: c in the cytosol, e in the ER, the membrane between them.

For :math:`\varepsilon=1/n` the box has n periods along each side (or along one, :class:`CalciumPair`), and the flux per
area of membrane is :math:`\varepsilon\lambda f` with :math:`\varepsilon` in parts of the cell's own period, so that the
exchange per volume of tissue, :math:`\tilde\lambda=\lambda S` with the area S per volume of the cell as it is, does not
depend on :math:`\varepsilon` (:mod:`homfem.twoscale.network`). Beside it runs :func:`homfem.macro.calcium.run_calcium`
with the two effective tensors, the volume fractions and S of the discretised cell: no number is fitted. At the end

.. math:: c_\varepsilon - c_0 = O(\varepsilon)\text{ in }L^2,\qquad
          c_\varepsilon - c_0 - \varepsilon\,\chi^c_k(x/\varepsilon)\,\partial_kc_0 = O(\sqrt\varepsilon)\text{ in }H^1,

the same of e, each over its own phase. (The layers at the sides of the box are absent where these are mirror planes of
the cell: order 1.)

Source: Goel, Sneyd, Friedman 2006, sections 2.2-2.6, Multiscale Model. Simul. 5(4), 1045.
"""

from __future__ import annotations

import logging
import math
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from dolfinx import fem

from homfem._dolfinx import original_cell_index
from homfem.bodies import box_mesh
from homfem.certify import Diffusion, homogenize_diffusion
from homfem.kinetics.point import PointKinetics
from homfem.macro.calcium import CalciumProblem, run_calcium
from homfem.meshing.arrays.budget import require_cells
from homfem.parameters import Array
from homfem.progress import tell
from homfem.ranks import collective
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid
from homfem.twoscale.calcium_pair import CalciumPair, CalciumPairMethod
from homfem.twoscale.errors import Meter
from homfem.twoscale.medium import Medium, make_medium, on_own_rank, require_box
from homfem.twoscale.network import Flags, Flux, Network
from homfem.twoscale.rates import Rates
from homfem.twoscale.resolved import Tiled, require_body
from homfem.twoscale.splines import SmoothField
from homfem.twoscale.study import check_periods, require_dofs, require_type

log = logging.getLogger("homfem")

#: Elements of the limit along each axis, by the number of axes along which it varies.
ELEMENTS = {1: 256, 2: 72, 3: 24}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumLevel:
    r"""What was found for one :math:`\varepsilon` at the end.

    Parameters
    ----------
    eps
        :math:`\varepsilon`.
    dofs, seconds
        Unknowns of both phases; wall time.
    errors
        For each phase: ``"PHASE l2"``, of the concentration less the limit's, ``"PHASE h1"`` and ``"PHASE h1 inside"``,
        of the concentration less the reconstruction, in parts of the norm of the limit, or of the reconstruction. Where
        diffusivities are one number energy norms have the same ratios as H1.
    drift
        Largest relative deviation of the total calcium from its start.
    """

    eps: float
    dofs: int
    seconds: float
    errors: Mapping[str, float]
    drift: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumFields:
    """The fields of the last level at the end: by phase, on the nodes of the whole box, where the phase lives.

    Parameters
    ----------
    resolved, reconstructed
        Functions on the mesh of the box, zero off the phase.
    homogenized
        On the whole box; of a strip along its axis.
    cells
        Which local mesh cells are of the phase.
    """

    resolved: Mapping[str, fem.Function]
    reconstructed: Mapping[str, fem.Function]
    homogenized: Mapping[str, SmoothField]
    cells: Mapping[str, Flags]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumStudy(Rates):
    r"""Resolved networks beside the calcium bidomain.

    Parameters
    ----------
    levels
        One for each :math:`\varepsilon`, the largest first.
    tensors
        The effective tensor of each phase of the discretised cell, um^2/s, with volume fractions and membrane area.
    floor
        What half the elements and twice the time step change in the limit, by phase: ``"PHASE l2"``, ``"PHASE h1"``.
    fields
        Of the last level.
    pair, method
        What was studied, and how.
    """

    levels: tuple[CalciumLevel, ...]
    tensors: Mapping[str, EffectiveTensor]
    floor: Mapping[str, float]
    fields: CalciumFields
    pair: CalciumPair
    method: CalciumPairMethod = field(default_factory=CalciumPairMethod)

    @property
    def found(self) -> tuple[CalciumLevel, ...]:
        """The levels."""
        return self.levels

    def __str__(self) -> str:
        """Return the table of errors and rates."""
        floor = ", ".join(f"{value:.1e} ({name})" for name, value in self.floor.items())
        drift = max(level.drift for level in self.levels)
        return f"{self.pair.cell.name}: calcium, floor {floor}; total calcium to {drift:.1e}\n{self.table()}"


def calcium_two_scale_study(
    pair: CalciumPair, *, periods: Sequence[int] = (2, 4, 8), method: CalciumPairMethod | None = None
) -> CalciumStudy:
    r"""Compare resolved networks of more and more periods with the calcium bidomain; collective.

    Parameters
    ----------
    pair
        What is solved.
    periods
        :math:`n=1/\varepsilon` of each level, whole numbers, increasing.
    method
        Tolerances and budget.

    Raises
    ------
    InputError
        For bad input; :class:`~homfem.limits.BudgetError`, before anything is solved, for more unknowns than
        ``max_dofs``; :class:`~homfem.parameters.PercolationError` for a phase that is not one connected body.
    ConvergenceError
        If a solver did not converge, or a step is so large that a concentration turns negative.
    """
    method = CalciumPairMethod() if method is None else method
    require_type("pair", pair, CalciumPair)
    require_type("method", method, CalciumPairMethod)
    counts = check_periods(periods)
    cell, d = pair.cell, pair.cell.dimension
    require_box(cell)
    starts = pair.starts()
    for start in starts.values():
        start(np.full((d, 1), 0.5 * pair.side))
    media = {
        name: make_medium(cell, Diffusion(coefficients={name: value}), rtol=method.rtol)
        for name, value in pair.diffusivities.items()
    }
    axes = 1 if pair.strip else d
    require_dofs(sum(medium.dofs for medium in media.values()), counts[-1], axes, method.max_dofs)
    require_cells("periods", counts[-1], cell.kind, float(cell.number_of_cells) * counts[-1] ** axes)
    tensors = {
        name: homogenize_diffusion(cell, {name: value}, degree=1, bounds=False, rtol=method.rtol, unit="um^2/s")
        for name, value in pair.diffusivities.items()
    }
    posed = _posed(pair, tensors, method)
    limit = _limit(pair, posed, method)
    coarser = _limit(pair, _posed(pair, tensors, method, 2), method, 2)
    levels = []
    for count in counts:
        tell(f"{count} periods along x")
        level, fields = _level(pair, media, (posed.problem.membrane, limit), count, method)
        levels.append(level)
    return CalciumStudy(
        levels=tuple(levels),
        tensors=tensors,
        floor=_floor(pair, limit, coarser),
        fields=fields,
        pair=pair,
        method=method,
    )


def _sides(pair: CalciumPair) -> Array:
    """Lengths of the box, um; of a strip those that it would have as a whole."""
    lengths = np.diag(pair.cell.lattice.vectors)
    return np.asarray(lengths * (pair.side / lengths[0]))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Posed:
    """The problem of the limit on a structured mesh: lengths and elements along the axes, of which some count."""

    problem: CalciumProblem
    lengths: Sequence[float]
    counts: Sequence[int]
    axes: int


def _posed(
    pair: CalciumPair, tensors: Mapping[str, EffectiveTensor], method: CalciumPairMethod, coarser: int = 1
) -> _Posed:
    """Pose the calcium bidomain; collective."""
    sides, d = _sides(pair), pair.cell.dimension
    axes = 1 if pair.strip else d
    number = (ELEMENTS[axes] if method.elements is None else method.elements) // coarser
    counts = [number] * axes + [1] * (d - axes)
    lengths = [*sides[:axes], *([sides[0] / number] * (d - axes))]
    starts, (cytosol, er) = list(pair.starts().values()), tensors.values()
    problem = CalciumProblem(
        mesh=box_mesh(pair.cell.comm, lengths, counts),
        cytosol=cytosol,
        er=er,
        kinetics=pair.kinetics,
        ip3=pair.ip3,
        initial_cytosol=lambda x: starts[0](x[:d]),
        initial_er=lambda x: starts[1](x[:d]),
        density=pair.density,
    )
    return _Posed(problem=problem, lengths=lengths, counts=counts, axes=axes)


def _limit(pair: CalciumPair, posed: _Posed, method: CalciumPairMethod, coarser: int = 1) -> dict[str, SmoothField]:
    """Run the calcium bidomain to the end; return its fields as splines through the nodes; collective."""
    steps = max(1, math.ceil(pair.grid.steps / coarser))
    done = run_calcium(posed.problem, TimeGrid(end=pair.end, step=pair.end / steps), rtol=method.rtol)
    return {
        name: _through(function, posed.lengths, posed.counts, posed.axes)
        for name, function in zip(pair.diffusivities, (done.cytosol, done.er), strict=True)
    }


def _through(function: fem.Function, lengths: Sequence[float], counts: Sequence[int], axes: int) -> SmoothField:
    """Return the splines through the nodal values of a structured mesh; collective."""
    space = function.function_space
    owned, d = space.dofmap.index_map.size_local, len(counts)
    points = space.tabulate_dof_coordinates()[:owned, :d]
    place = np.rint(points / np.asarray(lengths) * np.asarray(counts)).astype(np.int64)
    parts = space.mesh.comm.allgather((place, function.x.array[:owned].copy()))
    grid = np.zeros([count + 1 for count in counts])
    for where, values in parts:
        grid[tuple(where.T)] = values
    grid = grid.mean(axis=tuple(range(axes, d))) if axes < d else grid
    nodes: list[Array] = [
        np.linspace(0.0, length, count + 1, dtype=np.float64) for length, count in zip(lengths, counts, strict=True)
    ]
    return SmoothField.through(nodes[:axes], grid[..., None])


def _level(
    pair: CalciumPair,
    media: Mapping[str, Medium],
    of_limit: tuple[PointKinetics, Mapping[str, SmoothField]],
    periods: int,
    method: CalciumPairMethod,
) -> tuple[CalciumLevel, CalciumFields]:
    """Run one network with the membrane of the limit to the end and measure it; collective."""
    membrane, limit = of_limit
    started = clock.perf_counter()
    cell, d = pair.cell, pair.cell.dimension
    raw = on_own_rank(cell.restrict(list(pair.diffusivities))).raw
    assert raw is not None
    counts = [periods] + [1 if pair.strip else periods] * (d - 1)
    for medium in media.values():
        require_body(cell.comm, medium.raw, counts)
    scale = float(_sides(pair)[0] / (periods * cell.lattice.vectors[0, 0]))
    flux = Flux(
        kinetics=membrane,
        parameters={"ip3": pair.ip3} if any(entry.name == "ip3" for entry in membrane.parameters) else {},
        factor=pair.density * scale / pair.unit,
    )
    network = Network(
        cell.comm, raw, counts, scale=scale, diffusivities=pair.diffusivities, flux=flux, step=pair.step,
        rtol=method.rtol,
    )  # fmt: skip
    drift = _march(network, pair)
    tiled = network.tiled
    middle = _midpoints(tiled)[: 1 if pair.strip else d]
    lengths = tiled.sides[: len(middle), None]
    distance = np.minimum(middle, lengths - middle).min(axis=0)
    meter = Meter(tiled, distance >= method.margin * float(lengths.min()))
    errors, resolved, reconstructed, cells = {}, {}, {}, {}
    for (name, medium), phase in zip(media.items(), (network.cytosol, network.er), strict=True):
        values, nodes = network.at_nodes(phase), network.nodes_of(phase)
        plain, rebuilt = _reconstructed(tiled, medium, limit[name], phase.cells)
        own = phase.cells[: tiled.owned_cells]
        sizes = meter.norms(np.where(nodes, rebuilt, 0.0), own).whole
        error = meter.norms(np.where(nodes, values - rebuilt, 0.0), own)
        errors[f"{name} l2"] = (
            meter.norms(np.where(nodes, values - plain, 0.0), own).whole["l2"]
            / meter.norms(np.where(nodes, plain, 0.0), own).whole["l2"]
        )
        errors[f"{name} h1"] = error.whole["h1"] / sizes["h1"]
        errors[f"{name} h1 inside"] = error.inside["h1"] / sizes["h1"]
        resolved[name] = tiled.function(values, name)
        reconstructed[name] = tiled.function(np.where(nodes, rebuilt, 0.0), name)
        cells[name] = phase.cells
    level = CalciumLevel(
        eps=1.0 / periods,
        dofs=network.unknowns,
        seconds=clock.perf_counter() - started,
        errors=errors,
        drift=drift,
    )
    fields = CalciumFields(resolved=resolved, reconstructed=reconstructed, homogenized=limit, cells=cells)
    return level, fields


def _march(network: Network, pair: CalciumPair) -> float:
    """Run a network to the end; return the largest relative deviation of its total calcium from the start."""
    tiled = network.tiled
    values = []
    with collective(network.comm):
        values = [start(tiled.points[:, : tiled.owned]) for start in pair.starts().values()]
    network.start(values[0], values[1])
    first = network.total()
    drift = 0.0
    for _ in range(pair.grid.steps):
        network.advance()
        drift = max(drift, abs(network.total() - first) / (abs(first) or 1.0))
    log.info("resolved network: %d unknowns, %d iterations", network.unknowns, network.iterations)
    return drift


def _reconstructed(tiled: Tiled, medium: Medium, field: SmoothField, cells: Flags) -> tuple[Array, Array]:
    """Return the limit and its reconstruction at the nodes, each of shape (1, n); meaningful on the phase alone."""
    points = tiled.points[: field.dimension]
    plain, slopes = field.values(points), field.gradients(points)[0]
    # The elements of the phase alone are those of all phases in their order.
    number = np.cumsum(tiled.raw.phase_of_cell == tiled.raw.phases[medium.cell.phase_names[0]]) - 1
    own = number[tiled.element[cells]]
    correction = np.zeros_like(plain)
    for corrector, slope in zip(medium.correctors, slopes, strict=False):
        correction += tiled.copied(medium.at_elements(corrector)[own], cells) * slope
    return plain, plain + tiled.scale * correction


def _midpoints(tiled: Tiled) -> Array:
    """Midpoints of the local mesh cells, shape (d, n)."""
    corners = tiled.points[:, tiled.space.dofmap.list]
    assert corners.shape[1] == len(original_cell_index(tiled.mesh))
    return np.asarray(corners.mean(axis=2))


def _floor(pair: CalciumPair, limit: Mapping[str, SmoothField], coarser: Mapping[str, SmoothField]) -> dict[str, float]:
    """Return by how much the two limits differ, in parts of them."""
    axes = next(iter(limit.values())).dimension
    side = (np.arange(24) + 0.5) / 24
    grid = np.meshgrid(*(side * length for length in _sides(pair)[:axes]), indexing="ij")
    points = np.stack([x.ravel() for x in grid])
    found = {}
    for name, one in limit.items():
        for norm, pick in (("l2", SmoothField.values), ("h1", SmoothField.gradients)):
            fine, coarse = pick(one, points), pick(coarser[name], points)
            found[f"{name} {norm}"] = float(np.linalg.norm(fine - coarse) / (np.linalg.norm(fine) or 1.0))
    return found
