"""The cells of the sections on dispersion without flow, and the permeabilities of their flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homfem.validation.rows import Row
from homfem.validation.transport.sources import CLOSED_FORM, FINITE_ELEMENTS

#: By cell: D*(0) per volume of the fluid, and the permeability per volume of the whole.
AT_REST = {"fibre": (0.76797141, 0.00971993904), "square": (0.76980036, 0.013023322)}
SPHERES = 0.01058890
#: What our meshes leave of them: the fluid ends at smooth walls, or at corners where flow and gradient are singular.
ALLOWED = {"fibre": (1e-7, 1e-6), "square": (5e-5, 1e-3)}
APERTURE = 0.6


def rows() -> Iterator[Row]:
    """Yield diffusion without flow and permeability of fibres, squares and spheres, and the flow in a slit."""
    from homfem import homogenize_diffusion, homogenize_stokes
    from homfem.cells import slit, sphere_array

    cells, fluids = _cells(), {"fibre": "matrix", "square": "L"}
    for name, (diffusion, permeability) in AT_REST.items():
        fluid = fluids[name]
        told: dict[str, Any] = {"source": FINITE_ELEMENTS}
        accuracy: dict[str, Any] = {"degree": 4, "bounds": False} if name == "fibre" else {"tolerance": 1e-4}
        at_rest = homogenize_diffusion(cells[name], {fluid: 1.0}, symmetry="auto", **accuracy)
        accuracy = {"degree": 4} if name == "fibre" else {"tolerance": 1e-3}
        flow = homogenize_stokes(cells[name], fluid, symmetry="auto", **accuracy)
        sides = {"ours": at_rest.value, "lower": at_rest.lower, "upper": at_rest.upper}
        found: dict[str, Any] = {
            side: None if tensor is None else float(tensor[0, 0] / at_rest.active_fraction)
            for side, tensor in sides.items()
        }
        yield Row(name=f"{name}: D* at rest, per fluid", **found, theirs=diffusion, allowed=ALLOWED[name][0], **told)
        told |= {"theirs": permeability, "allowed": ALLOWED[name][1]}
        yield Row(name=f"{name}: permeability", ours=float(flow.value[0, 0]), **told)
    spheres = sphere_array(fraction=0.3, resolution=0.15, mirrors="auto", order=2)
    drag = homogenize_stokes(spheres, "matrix", symmetry="auto").value[0, 0]
    yield Row(name="spheres: permeability", ours=float(drag), theirs=SPHERES, allowed=2e-3, source=FINITE_ELEMENTS)
    plane = slit(APERTURE, axis="y", dimension=2, resolution=0.2)
    free = homogenize_stokes(plane, "pore").value[0, 0]
    theirs = APERTURE**3 / 12.0
    yield Row(name="slit: permeability", ours=float(free), theirs=theirs, allowed=1e-10, source=CLOSED_FORM)


def _cells() -> Mapping[str, Any]:
    from homfem.cells import blocks, fibre_array

    quarters = [0.25, 0.5, 0.25]
    return {
        "fibre": fibre_array(fraction=0.3, resolution=0.05, mirrors="auto", order=2),
        "square": blocks(["LLL", "LDL", "LLL"], widths=quarters, heights=quarters, resolution=0.05),
    }
