"""The cells of the calcium bidomain equations: every number that the paper prints, and figures 8 and 9.

The geometry of figure 9 is only drawn in the paper; :func:`homfem.cells.tortuous_pipes` has sizes fitted to its
numbers, so that these rows say that such a cell has them, not that they are found. Of figure 8 the text prints the
coefficient without an ER, the two factors for the edge 0.1 and the relation between the curves.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, sections 2.7 and 5.2, appendix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.validation import published
from homfem.validation.rows import Row

if TYPE_CHECKING:
    from homfem.tensors import EffectiveTensor

_PRINTED: dict[str, Any] = {"source": published.GOEL_PRINTED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficient:
    """An effective diffusion coefficient D*/gamma, with guaranteed bounds, in the unit of D."""

    value: float
    lower: float
    upper: float

    @classmethod
    def of(cls, tensor: EffectiveTensor, axis: int = 0) -> Coefficient:
        """Return that of a tensor along an axis.

        Raises
        ------
        ValueError
            If the tensor has no bounds.
        """
        if tensor.lower is None or tensor.upper is None:
            raise ValueError("a tensor without bounds")
        sides = (tensor.value, tensor.lower, tensor.upper)
        value, lower, upper = (float(side[axis, axis]) / tensor.active_fraction for side in sides)
        return cls(value=value, lower=lower, upper=upper)

    def meets(self, other: Coefficient) -> bool:
        """Whether the two brackets have a number in common: if not, the coefficients are not equal."""
        return max(self.lower, other.lower) <= min(self.upper, other.upper)


def pipe_tensors(
    edge: float, *, diffusivity: float = 1.0, tolerance: float = 5e-3, resolution: float = 0.15, section: str = "square"
) -> dict[str, EffectiveTensor]:
    """Return the tensors of ER and cytosol of three orthogonal pipes; collective.

    Parameters
    ----------
    edge
        Edge of the pipes as a fraction of the period; of round ones the diameter.
    diffusivity
        Of either phase, um^2/s.
    tolerance
        Half-gap of the bounds, relative.
    resolution
        Mesh size as a fraction of the period.
    section
        ``"square"`` or ``"round"``.
    """
    from homfem import homogenize_diffusion, three_pipe

    cell = three_pipe(edge, resolution=resolution, section=section)
    options: dict[str, Any] = {"tolerance": tolerance, "symmetry": "auto", "unit": "um^2/s"}
    return {phase: homogenize_diffusion(cell, {phase: diffusivity}, **options) for phase in ("er", "cytosol")}


def rectangular_pipe_tensors(edges: tuple[float, float, float], *, tolerance: float = 5e-3) -> list[EffectiveTensor]:
    r"""Return the tensors of ER and cytosol of pipes whose sections are rectangles; collective.

    The ER is where at least two of :math:`y_i` are in their intervals, :math:`|y_i-\tfrac12|<l_i/2`: the pipe along x
    has the section :math:`l_y\times l_z`, and so on. Where not two are, at least two are outside: the cytosol is the
    network of :math:`1-l_i`, moved by half a period.
    """
    from homfem import homogenize_diffusion
    from homfem.cells import painted_cell, pipe_boxes

    ends = ([0.0, 0.5, 0.5], [1.0, 0.5, 0.5])
    boxes = []
    for axis in range(3):
        path = [[float(x) for x in np.roll(point, axis)] for point in ends]
        boxes += pipe_boxes(path, edges)
    cell = painted_cell(boxes, "cytosol", name="pipes of rectangular sections", resolution=0.25)
    return [homogenize_diffusion(cell, {phase: 1.0}, tolerance=tolerance) for phase in ("er", "cytosol")]


def goel_rows() -> Iterator[Row]:
    """Yield every number that the paper prints beside ours; collective."""
    yield from _first_cell()
    yield from _whole_cell()
    yield from _second_cell()
    yield from _figure_8()
    yield from _figure_9()


def _entry(tensor: EffectiveTensor, axis: int = 0) -> dict[str, Any]:
    sides = {"lower": tensor.lower, "upper": tensor.upper}
    found = {name: None if side is None else float(side[axis, axis]) for name, side in sides.items()}
    return {"ours": float(tensor.value[axis, axis])} | found


def _first_cell() -> Iterator[Row]:
    from homfem import homogenize_diffusion, three_pipe

    cell = three_pipe(0.1, resolution=0.15)
    for phase, half_gap in (("er", 3e-3), ("cytosol", 1e-3)):
        tensor = homogenize_diffusion(cell, {phase: 1.0}, tolerance=half_gap, symmetry="auto")
        printed, converged = published.GOEL[phase]
        for theirs, allowed, source, word in (
            (printed, 5e-3, published.GOEL_PRINTED, "printed"),
            (converged, half_gap, published.GOEL_CONVERGED, "converged"),
        ):
            found: dict[str, Any] = _entry(tensor) | {"theirs": theirs, "allowed": allowed, "source": source}
            yield Row(name=f"D*/D in the {phase}, edge 0.1, {word}", **found)
        if phase == "er":
            scaled = {key: published.GOEL_DIFFUSIVITY * value for key, value in _entry(tensor).items()}
            told: dict[str, Any] = {"theirs": published.GOEL_HOMOGENIZED, "allowed": 5e-3, "unit": "um^2/ms"} | _PRINTED
            yield Row(name="D* of the er, edge 0.1, D = 0.25 um^2/ms", **scaled, **told)
    area = float(cell.interface_area or np.nan)
    yield Row(name="interface area, edge 0.1", ours=area, theirs=published.GOEL_AREA, allowed=1e-9, **_PRINTED)


def _whole_cell() -> Iterator[Row]:
    """Yield what symmetry makes zero, solved without it: the mean of the corrector that is zero at the centre."""
    import ufl

    from homfem import three_pipe
    from homfem.certify import solve_diffusion
    from homfem.solve import integral, volume

    solved = solve_diffusion(three_pipe(0.1, resolution=0.3), {"er": 1.0})
    corrector = solved.correctors.functions[0]
    mean = integral(corrector * ufl.dx)() / volume(corrector.function_space.mesh)
    nodes, raw = solved.cell.nodal_values(corrector), solved.cell.raw
    centre = None
    if nodes is not None and raw is not None:
        centre = float(nodes[int(np.abs(raw.points - 0.5).max(axis=1).argmin())])
    ours = mean - float(solved.cell.comm.bcast(centre))
    yield Row(name="mean of the corrector, edge 0.1", ours=ours, theirs=0.0, allowed=1e-6, **_PRINTED)
    value = solved.tensor.value
    off = float(np.abs(value - np.diag(value.diagonal())).max() / value[0, 0])
    yield Row(name="off the diagonal of the er, edge 0.1", ours=off, theirs=0.0, allowed=1e-6, **_PRINTED)


def _second_cell() -> Iterator[Row]:
    second = published.GOEL_SECOND
    tensor = pipe_tensors(second["edge"], tolerance=3e-3)["er"]
    at = f"edge {second['edge']}"
    yield Row(name=f"D*/D in the er, {at}", **_entry(tensor), theirs=second["er"], allowed=7e-3, **_PRINTED)
    fraction = tensor.volume_fractions["er"]
    yield Row(name=f"volume fraction, {at}", ours=fraction, theirs=second["fraction"], allowed=2e-3, **_PRINTED)
    area = float(tensor.interface_area or np.nan)
    yield Row(name=f"interface area, {at}", ours=area, theirs=second["area"], allowed=5e-3, **_PRINTED)


def _figure_8() -> Iterator[Row]:
    """Yield what the text prints of the two curves: their ends, a point of each, and the relation between them."""
    unit: dict[str, Any] = {"unit": "um^2/s"} | _PRINTED
    free = published.GOEL_FREE
    found = {edge: pipe_tensors(edge, diffusivity=free) for edge in (0.01, 0.1, 0.25, 0.75, 0.9)}
    coefficients = {
        edge: {phase: Coefficient.of(tensor) for phase, tensor in tensors.items()} for edge, tensors in found.items()
    }

    def sides(edge: float, phase: str) -> dict[str, Any]:
        one = coefficients[edge][phase]
        return {"ours": one.value, "lower": one.lower, "upper": one.upper}

    thin = sides(0.01, "cytosol")
    yield Row(name="figure 8: cytosol, edge 0.01 for no er", **thin, theirs=free, allowed=5e-3, **unit)
    for phase, (factor, _) in published.GOEL.items():
        fraction = found[0.1][phase].active_fraction
        told = {"theirs": factor * free / fraction, "allowed": 5e-3} | unit
        yield Row(name=f"figure 8: {phase}, edge 0.1", **sides(0.1, phase), **told)
        mirrored = {"er": "cytosol", "cytosol": "er"}[phase]
        yield Row(name=f"figure 8: {mirrored}, edge 0.9, by their relation", **sides(0.9, mirrored), **told)
    for edge in (0.1, 0.25, 0.75, 0.9):
        one, other = coefficients[edge]["er"], coefficients[round(1.0 - edge, 2)]["cytosol"]
        ratio: dict[str, Any] = {
            "ours": one.value / other.value,
            "lower": one.lower / other.upper,
            "upper": one.upper / other.lower,
        }
        words = f"figure 8: er, edge {edge:g}, over cytosol, edge {1 - edge:g}"
        yield Row(name=words, **ratio, theirs=1.0, allowed=2e-3, **_PRINTED)


def _figure_9() -> Iterator[Row]:
    from homfem import homogenize_diffusion
    from homfem.cells import tortuous_pipes

    third = published.GOEL_THIRD
    tensor = homogenize_diffusion(tortuous_pipes(resolution=1 / 3), {"er": 1.0}, tolerance=4e-3, symmetry="auto")
    fitted: dict[str, Any] = {"source": published.GOEL_FITTED}
    fraction = tensor.volume_fractions["er"]
    yield Row(name="figure 9: volume fraction", ours=fraction, theirs=third["fraction"], allowed=2e-3, **fitted)
    for axis, name in enumerate("xyz"):
        told = {"theirs": third["er"][axis], "allowed": 0.5e-4 / third["er"][axis]} | fitted
        yield Row(name=f"figure 9: D*/D in the er, {name * 2}", **_entry(tensor, axis), **told)
    area = float(tensor.interface_area or np.nan)
    yield Row(name="figure 9: interface area", ours=area, theirs=third["area"], allowed=0.025, **fitted)
