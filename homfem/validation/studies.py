"""What is computed for each published number: some seconds on one core for each name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from homfem.parameters import check_choice
from homfem.validation import published
from homfem.validation.calcium import calcium_rows
from homfem.validation.goel import goel_rows
from homfem.validation.ionic import ionic_rows
from homfem.validation.rows import Row
from homfem.validation.transport import transport_rows
from homfem.validation.two_scale import two_scale_rows

if TYPE_CHECKING:
    from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """Published numbers of one kind.

    Parameters
    ----------
    title
        What they are.
    rows
        Computes ours and yields the rows. Collective.
    """

    title: str
    rows: Callable[[], Iterator[Row]]


def validate(name: str) -> list[Row]:
    """Return the rows of a study; collective on all ranks.

    Parameters
    ----------
    name
        One of :data:`STUDIES`.

    Raises
    ------
    InputError
        For a name that is not there.
    """
    return list(STUDIES[check_choice("NAME", name, list(STUDIES))].rows())


def _entry(tensor: EffectiveTensor, i: int = 0, j: int = 0) -> dict[str, Any]:
    """Return an entry of a tensor as ``ours``, with its bounds if it is on the diagonal."""
    sides = {
        name: None if bound is None or i != j else float(bound[i, j])
        for name, bound in (("lower", tensor.lower), ("upper", tensor.upper))
    }
    return {"ours": float(tensor.value[i, j])} | sides


def _blocks() -> Iterator[Row]:
    from homfem.blocks import homogenize_blocks, paper_case
    from homfem.blocks.tables import ENTRIES, TABLE_1

    for case, (_, volumes, _) in TABLE_1.items():
        tensor = homogenize_blocks(paper_case(case), tolerance=1e-8)
        for (label, i, j), printed in zip(ENTRIES, volumes, strict=True):
            if printed:
                half_a_digit = 0.5 * 10.0 ** (math.floor(math.log10(abs(printed))) - 2)
                told: dict[str, Any] = {
                    "theirs": printed,
                    "allowed": 1.3 * half_a_digit / abs(printed),
                    "source": published.MARCH,
                }
                yield Row(name=f"case {case}, {label}", **_entry(tensor, i, j), **told)
        for k, theirs in enumerate(published.BLOCKS.get(case, ())):
            told = {"theirs": theirs, "allowed": 3e-8, "source": published.BLOCKS_CONVERGED}
            yield Row(name=f"case {case}, {'xy'[k] * 2}, converged", **_entry(tensor, k, k), **told)


def _arrays(
    tables: Mapping[Any, Mapping[float, float]], make: Callable[[Any], Any], phase: str, told: Mapping[str, Any]
) -> Iterator[Row]:
    """Yield the conductivities of arrays of bodies in a matrix, for those of the bodies that are finite."""
    from homfem import homogenize_diffusion

    for key, values in tables.items():
        cell = make(key)
        for inside, theirs in values.items():
            if inside < math.inf:
                phases = {"matrix": 1.0} | ({phase: inside} if inside else {})
                tensor = homogenize_diffusion(cell, phases, symmetry="auto")
                words = " array, fraction ".join(map(str, key)) if isinstance(key, tuple) else f"fraction {key}"
                yield Row(name=f"{words}, contrast {inside:g}", **_entry(tensor), theirs=theirs, **told)


def _cylinders() -> Iterator[Row]:
    from homfem.cells import fibre_array

    def make(key: tuple[str, float]) -> Any:
        return fibre_array(key[0], fraction=key[1], resolution=0.05, mirrors="auto")

    yield from _arrays(published.CYLINDERS, make, "fibre", {"allowed": 1e-4, "source": published.PERRINS})


def _spheres() -> Iterator[Row]:
    from homfem.cells import sphere_array

    def make(fraction: float) -> Any:
        return sphere_array(fraction=fraction, resolution=0.15, mirrors="auto")

    yield from _arrays(published.SPHERES, make, "sphere", {"allowed": 1e-3, "source": published.SANGANI_SPHERES})


def _permeability() -> Iterator[Row]:
    from homfem import homogenize_stokes
    from homfem.cells import fibre_array, sphere_array

    for fraction, drag in published.DRAG_OF_CYLINDERS.items():
        if fraction > 0.6:  # nearly touching: the demonstration of the tables has finer meshes for them
            continue
        cell = fibre_array(fraction=fraction, resolution=0.04, mirrors="auto")
        found = _entry(homogenize_stokes(cell, "matrix", symmetry="auto", degree=3))
        told: dict[str, Any] = {"theirs": 1.0 / drag, "unit": "L^2", "allowed": 5e-3, "source": published.SANGANI_FLOW}
        yield Row(name=f"square array of cylinders, fraction {fraction}", **found, **told)
    for fraction, drag in published.DRAG_OF_SPHERES.items():
        if fraction > 0.4:  # touching
            continue
        theirs = published.permeability_of_spheres(fraction, drag)
        cell = sphere_array(fraction=fraction, resolution=0.1, mirrors="auto")
        found = _entry(homogenize_stokes(cell, "matrix", symmetry="auto"))
        told = {"theirs": theirs, "unit": "L^2", "allowed": 5e-3, "source": published.ZICK}
        yield Row(name=f"simple cubic spheres, fraction {fraction}", **found, **told)


def _elasticity() -> Iterator[Row]:
    from homfem import homogenize_elasticity
    from homfem.cells import fibre_array

    cell = fibre_array(fraction=0.3, resolution=0.15, refinement=0, dimension=3, mirrors="auto")
    phases = {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}}
    tensor = homogenize_elasticity(cell, phases, symmetry="auto")
    for name, theirs in published.FIBRES.items():
        i, j = (int(digit) - 1 for digit in name[1:])
        told: dict[str, Any] = {"theirs": theirs, "allowed": 2e-3, "source": published.FIBRES_CONVERGED}
        yield Row(name=f"{name}, fraction 0.3, contrast 10", **_entry(tensor, i, j), **told)


def _random() -> Iterator[Row]:
    """Yield random media in the plane beside media whose two phases have changed places: pairs are exact."""
    import numpy as np

    from homfem.grid import Image, homogenize_image
    from homfem.random_media import gaussian_medium

    def mean(*matrices: Any) -> float:
        """Return the geometric mean of all principal values."""
        return float(np.exp(np.mean([0.5 * np.linalg.slogdet(matrix)[1] for matrix in matrices])))

    shuffled = np.random.default_rng(1).permutation(np.arange(64) % 2).reshape(8, 8)
    media = {
        "random checkerboard": np.kron(shuffled, np.ones((4, 4), dtype=np.int64)),
        "Gaussian field at its median": gaussian_medium(0.1, period=(1.0, 1.0), fraction=0.5, seed=1).labels(64),
    }
    for name, labels in media.items():
        image = Image.from_labels(labels, {"a": 0, "b": 1})
        for (one, other), theirs in published.INTERCHANGEABLE.items():
            pair = [
                homogenize_image(image, {"a": a, "b": b}, refine=2, rtol=1e-9) for a, b in ((one, other), (other, one))
            ]

            told: dict[str, Any] = {"theirs": theirs, "source": published.DYKHNE}
            dual = mean(pair[0].upper, pair[1].lower)
            words = f"{name}, contrast {other / one:g}"
            yield Row(name=f"{words}: upper bound, lower of the swapped one", ours=dual, allowed=1e-7, **told)
            if name.startswith("Gaussian") or other / one < 50.0:
                ours, lower, upper = (
                    mean(*(getattr(tensor, side) for tensor in pair)) for side in ("value", "lower", "upper")
                )
                found: dict[str, Any] = {"ours": ours, "lower": lower, "upper": upper}
                yield Row(name=f"{words}: mean of the pair", allowed=1e-3, **found, **told)


def _pathmanathan() -> Iterator[Row]:
    """Yield errors against exact solutions, which may not be larger than those of the code of the paper."""
    from mpi4py import MPI

    from homfem.macro.cardiac import CardiacMethod
    from homfem.validation.exact_cardiac import Exact

    methods = {
        "": CardiacMethod(splitting="strang"),
        "backward Euler, ": CardiacMethod(scheme="backward-euler", coupling="midpoint"),
    }
    told: dict[str, Any] = {"allowed": 1e-3, "at_most": True, "source": published.PATHMANATHAN_SOURCE}
    for kind, errors in published.PATHMANATHAN.items():
        for (scheme, method), (level, cells) in product(methods.items(), enumerate((10, 20))):
            exact = Exact(kind=kind, dimension=2)
            found = exact.errors(cells, 0.1 * (10 / cells) ** 2, method=method, comm=MPI.COMM_SELF)
            for name, theirs in errors.items():
                words = f"{kind}, {scheme}error of {name}, h = {1 / cells:g}"
                yield Row(name=words, ours=found[name], theirs=theirs[level], **told)


def _niederer() -> Iterator[Row]:
    """Yield the velocities in one dimension, and times of activation of the coarse slab in the range of the codes."""
    import math

    from mpi4py import MPI

    from homfem.macro.cardiac import CardiacMethod
    from homfem.validation.niederer import EXTRACELLULAR, INTRACELLULAR, fibre_velocity, niederer_times

    along, across = fibre_velocity(0.05, 0.005), fibre_velocity(0.02, 0.005, transverse=True)
    told: dict[str, Any] = {"unit": "mm/ms", "allowed": 5e-3, "source": published.FIBRE_VELOCITY_SOURCE}
    yield Row(name="velocity along a fibre", ours=along, theirs=published.FIBRE_VELOCITY, **told)
    series = [i * e / (i + e) for i, e in zip(INTRACELLULAR, EXTRACELLULAR, strict=True)]
    theirs = math.sqrt(series[0] / series[1])
    source = "velocities are as the roots of the conductivities"
    yield Row(name="velocity along over across", ours=along / across, theirs=theirs, allowed=5e-3, source=source)
    coarse = niederer_times(0.5, 0.05, comm=MPI.COMM_SELF)
    # To the last of three of its four points: the far corner would take a third longer.
    fine = niederer_times(0.2, 0.05, end=41.0, method=CardiacMethod(mass=0.0), comm=MPI.COMM_SELF)
    for size, times, mass in ((0.5, coarse, ""), (0.2, fine, ", lumped mass")):
        for point, (mean, deviation) in published.NIEDERER_TIMES[size].items():
            if math.isfinite(times[point]):
                words = f"activation at {point}, {size:g} mm, 0.05 ms{mass}"
                told = {"unit": "ms", "allowed": 2.0 * deviation / mean, "source": published.NIEDERER}
                yield Row(name=words, ours=times[point], theirs=mean, **told)


STUDIES: Mapping[str, Study] = {
    "goel": Study(title="cells of the calcium bidomain equations: pipes in a cube", rows=goel_rows),
    "blocks": Study(title="block media of March, Carr and Turner", rows=_blocks),
    "cylinders": Study(title="conductivity across square and hexagonal arrays of cylinders", rows=_cylinders),
    "spheres": Study(title="conductivity of spheres in a simple cubic array", rows=_spheres),
    "permeability": Study(title="slow flow past arrays of cylinders and of spheres", rows=_permeability),
    "elasticity": Study(title="stiffness of square arrays of fibres", rows=_elasticity),
    "transport": Study(title="transport in the cell: reaction, dispersion, charge, chemotaxis", rows=transport_rows),
    "calcium-kinetics": Study(title="single cells of calcium: oscillations, receptors, rest", rows=calcium_rows),
    "ionic": Study(title="membranes of single cells: action potentials and restitution", rows=ionic_rows),
    "two-scale": Study(title="resolved media beside their limit: errors and rates in eps", rows=two_scale_rows),
    "random": Study(title="random media of two phases in the plane that are alike but for their names", rows=_random),
    "pathmanathan": Study(title="exact solutions of the monodomain, the bidomain and a bath", rows=_pathmanathan),
    "niederer": Study(title="activation of a slab of ventricular muscle, and its velocities", rows=_niederer),
}
"""The studies by their names. A new one is a function that yields rows, its numbers in
:mod:`homfem.validation.published`, and its line here (of transport in the cell a module of
:mod:`homfem.validation.transport`); ``tests/validation`` takes it from here."""
