"""Dispersion in given flows and in the slow flow of the same cell, with and without sorption on the walls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from homfem.validation.rows import Row
from homfem.validation.transport.sources import CLOSED_FORM, FINITE_ELEMENTS

#: Around fibres: along the mean velocity and across by the Peclet number, per volume of the fluid.
FIBRES = {1.0: (0.79098942, 0.76874271), 10.0: (2.0785848, 0.8200195), 100.0: (71.510432, 1.0499567)}
#: At 45 degrees and the Peclet number 10: xx and xy.
DIAGONAL = (1.2004055, -0.31084673)
#: Around squares with the edge 1/2.
SQUARES = {1.0: (0.7921108, 0.7704691), 10.0: (2.4115574, 0.8123318)}
#: Of the same squares the permeability.
SQUARES_LET_THROUGH = 0.013023322
#: Around a simple cubic array of spheres with the fraction 0.3.
SPHERES = {1.0: (0.8807617, 0.8655316), 10.0: (1.866402, 0.8823083)}
#: Cellular flow by its amplitude.
CELLULAR = {1.0: 1.117730417, 10.0: 3.416574503, 100.0: 10.69345967}
#: A generic flow: xx, yy, xy, and the flux form F_xy, F_yx.
GENERIC = (1.20805027, 1.16489756, -0.0309194369)
FLUX_FORM = (-0.0309449016, -0.0308939722)
#: Fibres whose walls hold K = 0.5 at the Peclet number 10: V over the mean speed, D* along and across.
SORBING = (0.41895773, 1.6538712, 0.34355353)
TURN = 2.0 * np.pi


def rows() -> Iterator[Row]:
    """Yield dispersion in given flows, between walls, around fibres, squares and spheres."""
    yield from _given()
    yield from _walls()
    yield from _fibres()
    yield from _others()
    yield from _voxels()


def _row(name: str, ours: Any, theirs: float, allowed: float, source: str = FINITE_ELEMENTS) -> Row:
    return Row(name=f"dispersion, {name}", ours=float(ours), theirs=theirs, allowed=allowed, source=source)


def _given() -> Iterator[Row]:
    """Yield flows in a cell that is all fluid."""
    from homfem.cells import laminate
    from homfem.certify import GivenFlow, StreamFunction, homogenize_dispersion

    cell = laminate([0.5, 0.5], axis="y", dimension=2, resolution=1 / 32)
    phases = dict.fromkeys(cell.phase_names, 1.0)
    fluid = tuple(phases)
    for size, across in ((10.0, 0.0), (10.0, 5.0)):
        shear = GivenFlow(velocity=partial(_shear, size=size, across=across), fluid=fluid)
        found: Any = homogenize_dispersion(cell, phases, flow=shear, degree=3)
        exact = 1.0 + size**2 / (2.0 * (TURN**2 + across**2))
        yield _row(f"shear P {size:g}, W {across:g}: xx", found.value[0, 0], exact, 1e-6, CLOSED_FORM)
    for size, value in CELLULAR.items():
        flow = StreamFunction(function=partial(_cellular, size=size), fluid=fluid)
        found = homogenize_dispersion(cell, phases, flow=flow, degree=3)
        yield _row(f"cellular flow P {size:g}", found.value[0, 0], value, 1e-6 if size < 50.0 else 2e-4)
    found = homogenize_dispersion(cell, phases, flow=StreamFunction(function=_generic, fluid=fluid), degree=3)
    for name, entry, value in zip(("xx", "yy", "xy"), ((0, 0), (1, 1), (0, 1)), GENERIC, strict=True):
        yield _row(f"generic flow: {name}", found.value[entry], value, 1e-6)
    form = found.coefficients["flux_form"].value
    for name, entry, value in zip(("xy", "yx"), ((0, 1), (1, 0)), FLUX_FORM, strict=True):
        yield _row(f"generic flow: flux form {name}", form[entry], value, 1e-6)


def _shear(x: Any, size: float, across: float) -> Any:
    return np.array([size * np.sin(TURN * x[1]), across + 0.0 * x[0]])


def _cellular(x: Any, size: float) -> Any:
    return size * np.sin(TURN * x[0]) * np.sin(TURN * x[1])


def _between(x: Any, profile: Any, width: float) -> Any:
    """A flow along a slit in the middle of the cell by its profile on (0, 1)."""
    return np.array([profile((x[1] % 1.0 - 0.5 + 0.5 * width) / width), 0.0 * x[0]])


def _generic(x: Any) -> Any:
    """A stream function without any symmetry."""
    waves: Sequence[Any] = (
        np.sin(TURN * x[0]) * np.sin(TURN * x[1]),
        0.5 * np.cos(TURN * (x[0] + 2.0 * x[1])),
        0.3 * np.sin(TURN * (2.0 * x[0] - x[1]) + 0.7),
    )
    return sum(waves)


def _walls() -> Iterator[Row]:
    """Yield flows along walls: Taylor, Aris and Golay."""
    from homfem.cells import slit, tube
    from homfem.certify import GivenFlow, StokesFlow, homogenize_dispersion

    width, peclet = 0.5, 10.0
    cell = slit(width, axis="y", resolution=1 / 16)
    profiles: dict[str, tuple[Any, float]] = {
        "slit": (None, 1.0 / 210.0),
        "Couette": (lambda s: 2.0 * s, 1.0 / 30.0),
        "film": (lambda s: 1.5 * s * (2.0 - s), 2.0 / 105.0),
    }
    for name, (profile, factor) in profiles.items():
        flow = None
        if profile is not None:
            flow = GivenFlow(velocity=partial(_between, profile=profile, width=width))
        found: Any = homogenize_dispersion(cell, {"pore": 1.0}, flow=flow, peclet=peclet, degree=3)
        ours = (found.value[0, 0] - 1.0) / (peclet * width) ** 2
        yield _row(f"{name}: (D* - D)/Pe^2", ours, factor, 1e-5, CLOSED_FORM)
    held = 0.2 * 2.0 / width
    found = homogenize_dispersion(cell, {"pore": 1.0}, peclet=peclet, sorption_length=0.2, degree=3)
    golay = (1.0 + 9.0 * held + 25.5 * held**2) / (1.0 + held) ** 3
    exact = 1.0 / (1.0 + held) + 2.0 / 105.0 * (0.5 * peclet * width) ** 2 * golay
    yield _row("slit with sorption, k' 0.8: D*", found.value[0, 0], exact, 1e-5, CLOSED_FORM)
    radius = 0.4
    pipe = tube(radius, axis="z", layers=3, resolution=0.15, order=2)
    along = StokesFlow(direction=[0.0, 0.0, 1.0])
    for length in (0.0, 0.2):
        held = 2.0 * length / radius
        found = homogenize_dispersion(pipe, {"pore": 1.0}, flow=along, peclet=peclet, sorption_length=length)
        golay = (1.0 + 6.0 * held + 11.0 * held**2) / (48.0 * (1.0 + held) ** 3)
        exact = 1.0 / (1.0 + held) + (peclet * radius) ** 2 * golay
        yield _row(f"tube with sorption, k' {held:g}: D*", found.value[2, 2], exact, 2e-3, CLOSED_FORM)


def _fibres() -> Iterator[Row]:
    """Yield the slow flow around fibres."""
    from homfem.cells import fibre_array
    from homfem.certify import StokesFlow, homogenize_dispersion

    cell = fibre_array(fraction=0.3, resolution=0.05, order=2)
    found: Any = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=list(FIBRES), degree=3)
    for tensor, (peclet, sides) in zip(found, FIBRES.items(), strict=True):
        for name, k, value in (("along", 0, sides[0]), ("across", 1, sides[1])):
            yield _row(f"fibres, Pe {peclet:g}: {name}", tensor.value[k, k], value, 1e-5 if peclet > 10.0 else 1e-6)
    diagonal = StokesFlow(direction=[1.0, 1.0])
    turned: Any = homogenize_dispersion(cell, {"matrix": 1.0}, flow=diagonal, peclet=10.0, degree=3)
    for name, k, value in (("xx", 0, DIAGONAL[0]), ("xy", 1, DIAGONAL[1])):
        yield _row(f"fibres, Pe 10 at 45 degrees: {name}", turned.value[0, k], value, 1e-6)
    held: Any = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=10.0, sorption_length=0.5, degree=3)
    ours = (held.coefficients["velocity"].value[0] / 10.0, held.value[0, 0], held.value[1, 1])
    for name, one, value in zip(("V over the mean speed", "along", "across"), ours, SORBING, strict=True):
        yield _row(f"fibres that sorb, Pe 10: {name}", one, value, 1e-6)


def _others() -> Iterator[Row]:
    """Yield the slow flow around squares, whose corners are singular, and around spheres."""
    from homfem.cells import obstacles, sphere_array
    from homfem.certify import homogenize_dispersion

    cells = {
        "squares": (obstacles(0.5, dimension=2, resolution=0.04), "pore", SQUARES, 3, 3e-3),
        "spheres": (sphere_array(fraction=0.3, resolution=0.25, order=2), "matrix", SPHERES, 2, 1e-3),
    }
    for name, (cell, fluid, numbers, degree, allowed) in cells.items():
        found: Any = homogenize_dispersion(cell, {fluid: 1.0}, peclet=list(numbers), degree=degree)
        for tensor, (peclet, sides) in zip(found, numbers.items(), strict=True):
            for side, k, value in (("along", 0, sides[0]), ("across", 1, sides[1])):
                yield _row(f"{name}, Pe {peclet:g}: {side}", tensor.value[k, k], value, allowed)


def _voxels() -> Iterator[Row]:
    """Yield squares between voxels, without a mesh: of three grids what they tend to."""
    from homfem.grid import Image, homogenize_dispersion_image, homogenize_stokes_image

    labels = np.zeros((16, 16), dtype=int)
    labels[4:12, 4:12] = 1
    image = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1 / 16)
    found = []
    for cuts in (2, 4, 8):
        flow = homogenize_stokes_image(image, refine=cuts, estimate=False)
        series: Any = homogenize_dispersion_image(
            image, {"pore": 1.0}, peclet=list(SQUARES), refine=cuts, estimate=False
        )
        found.append([flow.value[0, 0], *(tensor.value[k, k] for tensor in series for k in (0, 1))])
    names = [f"Pe {peclet:g}: {side}" for peclet in SQUARES for side in ("along", "across")]
    exact = [SQUARES_LET_THROUGH, *(value for sides in SQUARES.values() for value in sides)]
    for name, values, value in zip(["permeability", *names], zip(*found, strict=True), exact, strict=True):
        allowed = 5e-4 if "Pe 1:" not in name else 2e-5
        yield _row(f"squares of voxels, {name}", _limit(*values), value, allowed)


def _limit(coarse: float, middle: float, fine: float) -> float:
    """Return what values on grids of 1, 2, 4 tend to, whatever the order (Richardson, Aitken)."""
    return fine - (fine - middle) ** 2 / (fine - 2.0 * middle + coarse)
