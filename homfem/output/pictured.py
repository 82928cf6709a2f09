r"""What a solved transport problem shows beside its correctors: concentration, potential, velocity, eigenfunctions.

The concentration of a unit gradient is :math:`c=x+\chi`; of a reaction the shape :math:`\varphi` of what is left, the
sensitivity :math:`\varphi^*` of the rate to where a solute begins, and their product, the weight of averages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.certify.electrokinetics.physics import ElectrokineticsOnMesh
from homfem.local.spectral import Spectrum
from homfem.output.pictures import draw_fields, made_drawable
from homfem.output.solved import node_places, on_cells
from homfem.output.views import CellView
from homfem.output.words import load_words, physics_words, symbol, with_unit
from homfem.parameters import Array
from homfem.ranks import collective
from homfem.reference import is_simplex

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pictured:
    """One picture of a field.

    Parameters
    ----------
    name
        Of its file, ``NAME_concentration.png``; empty for the first, ``NAME.png``.
    label, unit
        Beside the colour bar.
    title
        What of the title follows the physics.
    values
        A scalar function or UFL expression on the mesh of the cell; None where the vectors are coloured by their size.
    vectors
        A vector: lines along it.
    scale
        What values (without them: vectors) are multiplied with.
    gradient : array, shape (d,)
        Of a linear part that is added to the values, in mesh units.
    """

    name: str
    label: str
    unit: str = ""
    title: str = ""
    values: Any = None
    vectors: Any = None
    scale: float = 1.0
    gradient: Array | None = None


def pictured(solution: Any) -> tuple[Pictured, ...]:
    """Return what a solution shows in place of its correctors; nothing where these alone are shown."""
    maker = _MAKERS.get(solution.tensor.physics)
    return () if maker is None else tuple(maker(solution))


def functions_beside(solution: Any) -> dict[str, fem.Function]:
    """Return by name the functions that a solution has beside its correctors: velocity, potential, eigenfunctions."""
    maker = _FUNCTIONS.get(solution.tensor.physics)
    return {} if maker is None else dict(maker(solution))


def draw_pictured(cell: UnitCell, picture: Pictured, path: str, view: CellView) -> None:
    """Draw one field into a PNG, PDF or SVG file; collective."""
    values, vectors = (_known(cell, shown) for shown in (picture.values, picture.vectors))
    with collective(cell.comm):
        if cell.raw is None:
            return
        raw: Any = cell.raw
        if values is not None and picture.gradient is not None:
            values = values + node_places(raw, values.shape[1]) @ np.asarray(picture.gradient)
            # A concentration is what it is up to a constant: half-way is zero.
            values = values - 0.5 * (values.min() + values.max())
        if values is not None:
            values = picture.scale * values
        elif vectors is not None:
            vectors = picture.scale * vectors
        # In space lines and colours hide each other: the lines have a picture of their own.
        lines = vectors if values is None or cell.dimension == 2 else None
        mesh = cell.length * raw.points, raw.cells, raw.phase_of_cell
        drawn = made_drawable(*mesh, values, vectors=lines)
        if values is None and cell.dimension == 2:
            drawn = drawn.sized()
        draw_fields(drawn, path, phases=raw.phases, view=view)


def _known(cell: UnitCell, expression: Any) -> Array | None:
    """An expression in each mesh cell, on rank 0: at the nodes of second order of simplices; collective."""
    if expression is None:
        return None
    simplex = is_simplex(str(cell.mesh.basix_cell().name))
    return on_cells(cell, expression, cell.mesh, 2 if simplex else 1)


def view_words(solution: Any, picture: Pictured) -> dict[str, str]:
    """Return title and label of a picture."""
    title = f"{solution.cell.name}: {physics_words(solution.tensor.physics)}"
    return {
        "title": f"{title}, {picture.title}" if picture.title else title,
        "label": with_unit(picture.label, picture.unit),
    }


def _dispersion(solution: Any) -> list[Pictured]:
    """Return the corrector and the concentration of the first gradient, and the flow; all with stream lines."""
    solved, cell = solution.solved, solution.cell
    flow, chi = solved.flow, solution.correctors.functions[0]
    peclet = float(solution.tensor.coefficients["peclet"].value)
    load, unit = load_words("dispersion", 0, cell.dimension), cell.length_unit
    about: dict[str, Any] = {"unit": unit, "scale": cell.length, "title": f"{load}, Pe = {peclet:.4g}"}
    about["vectors"] = flow.velocity
    first = np.eye(cell.dimension)[0]
    return [
        Pictured(name="", label="corrector", values=chi, **about),
        Pictured(name="concentration", label="concentration for a gradient of 1", values=chi, gradient=first, **about),
        Pictured(
            name="velocity", label="speed over its mean in the fluid", vectors=flow.velocity, scale=1.0 / flow.speed
        ),
    ]


def _dispersion_functions(solution: Any) -> dict[str, fem.Function]:
    """Return the velocity."""
    return {"velocity": solution.solved.flow.velocity}


def _reaction(solution: Any) -> list[Pictured]:
    """Return the shape of what is left, the weight of averages where it is not its square, and the corrector."""
    spectrum, cell = solution.dual, solution.cell
    if not isinstance(spectrum, Spectrum):  # the slow limit: a plain diffusion
        return []
    rate = solution.tensor.coefficients["rate"]
    told = f"rate {float(rate.value):.4g} {symbol(rate.unit)}".rstrip()
    shape, adjoint = spectrum.function, spectrum.adjoint
    found = [Pictured(name="", label="what is left of the solute, over its mean", title=told, values=shape,
                      scale=1.0 / _mean(cell, shape))]  # fmt: skip
    if adjoint is not shape:
        found.append(Pictured(name="weight", label="weight of averages, over its mean", title=told,
                              values=shape * adjoint, scale=1.0 / _mean(cell, shape * adjoint)))  # fmt: skip
    load = load_words("diffusion", 0, cell.dimension)
    chi = solution.correctors.functions[0]
    return [*found, Pictured(name="corrector", label="corrector", unit=cell.length_unit, title=load, values=chi,
                             scale=cell.length)]  # fmt: skip


def _mean(cell: UnitCell, expression: Any) -> float:
    """The mean over the mesh; collective."""
    one = fem.Constant(cell.mesh, 1.0)
    return solve.integrate(expression * ufl.dx(cell.mesh)) / solve.integrate(one * ufl.dx(cell.mesh))


def _reaction_functions(solution: Any) -> dict[str, fem.Function]:
    """Return the first eigenfunction and that of the adjoint problem."""
    if not isinstance(solution.dual, Spectrum):
        return {}
    found = {"shape": solution.dual.function}
    return found if solution.dual.adjoint is solution.dual.function else {**found, "adjoint": solution.dual.adjoint}


def _charges(solution: Any) -> list[Pictured]:
    """Return potential, concentrations, and the flows that a pressure and an electric field drive."""
    if not isinstance(solution.solved, ElectrokineticsOnMesh):  # a gel: its correctors
        return []
    cell, correctors, response = solution.cell, solution.correctors, solution.solved.response
    d, charges, potential = cell.dimension, response.equilibrium.charges, correctors.problem.given[0]
    names = [name.partition(".")[2] for name in solution.tensor.coefficients if name.startswith("concentration.")]
    velocities = [functions[0] for functions in correctors.functions]
    field = fem.Function(velocities[0].function_space, name="electro-osmosis")
    for k, valence in enumerate(charges.valences, start=1):
        field.x.array[:] += valence * velocities[k * d].x.array
    least = 0.0
    found = [Pictured(name="", label="potential at rest (kT/e)", values=potential, title="equilibrium")]
    for name, valence in zip(names, charges.valences, strict=True):
        over = ufl.exp(-float(valence) * potential)
        file = re.sub(r"[^\w.+-]", "_", name)
        found.append(Pictured(name=file, label=f"{name} over its bath", values=over, title="equilibrium"))
    for name, driven, title in (
        ("velocity", velocities[0], "pressure falls along x"),
        ("electro-osmosis", field, "electric field along x"),
    ):
        size = float(np.linalg.norm([_mean(cell, driven[k]) for k in range(d)]))
        least = least or 1e-9 * size  # without charges no field drives a flow
        if size > least:
            found.append(
                Pictured(name=name, label="speed over its mean", title=title, vectors=driven, scale=1.0 / size)
            )
    return found


def _charges_functions(solution: Any) -> dict[str, fem.Function]:
    """Return the potential at rest."""
    if not isinstance(solution.solved, ElectrokineticsOnMesh):
        return {}
    return {"potential": solution.correctors.problem.given[0]}


def _chemotaxis(solution: Any) -> list[Pictured]:
    """Return the attractant, and the corrector of the motility."""
    cell, attractant = solution.cell, solution.solved.compared
    if attractant is None:
        return []
    load = load_words("diffusion", 0, cell.dimension)
    about: dict[str, Any] = {"title": load, "unit": cell.length_unit, "scale": cell.length}
    first = np.eye(cell.dimension)[0]
    words = "attractant for a gradient of 1", "corrector of the motility"
    return [
        Pictured(name="", label=words[0], values=attractant.functions[0], gradient=first, **about),
        Pictured(name="motility", label=words[1], values=solution.correctors.functions[0], **about),
    ]


def _multiplication(solution: Any) -> list[Pictured]:
    """Return the flux of each group."""
    cell, flux = solution.cell, solution.dual.function
    told = f"k = {float(solution.tensor.coefficients['multiplication'].value):.5g}"
    groups = [flux] if not flux.ufl_shape else [flux[g] for g in range(flux.ufl_shape[0])]
    found = []
    for g, one in enumerate(groups, start=1):
        label = "flux over its mean" if len(groups) == 1 else f"flux of group {g} over its mean"
        name = "" if g == 1 else f"group{g}"
        found.append(Pictured(name=name, label=label, title=told, values=one, scale=1.0 / _mean(cell, one)))
    return found


_MAKERS: Mapping[str, Callable[[Any], Sequence[Pictured]]] = {
    "dispersion": _dispersion,
    "reaction": _reaction,
    "electrodiffusion": _charges,
    "chemotaxis": _chemotaxis,
    "multiplication": _multiplication,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Mapping[str, fem.Function]]] = {
    "dispersion": _dispersion_functions,
    "reaction": _reaction_functions,
    "electrodiffusion": _charges_functions,
    "multiplication": lambda solution: {"flux": solution.dual.function},
}
