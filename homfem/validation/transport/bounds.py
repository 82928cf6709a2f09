"""Guaranteed bounds of dispersion beside other methods: fibres, spheres, vortices, a flow without symmetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from homfem.validation.rows import Row
from homfem.validation.transport.sources import FINITE_ELEMENTS

#: Along the flow and across, by Peclet number.
FIBRES = {1.0: (0.79098942, 0.76874271), 10.0: (2.0785848, 0.8200195), 100.0: (71.510432, 1.0499567)}
SPHERES = {10.0: (1.866402, 0.8823083)}
#: Of vortices without a mean flow, by their strength.
VORTICES = {1.0: 1.117730417, 10.0: 3.416574503, 100.0: 10.69345967}
GENERIC = {(0, 0): 1.20805027, (1, 1): 1.16489756, (0, 1): -0.0309194369}
#: How far the values may be off. Around round cells linear elements are taken: their bounds are wide beside what the
#: straight facets change, so that the numbers of round cells lie between them.
ALLOWED = {"fibres": 4e-3, "spheres": 9.9e-3, "vortices": 2e-3, "generic flow": 1e-4}
SPECTRAL = "converged by finite elements of orders 6 to 10, Fourier modes and Bloch expansion, independently of homfem"


def rows() -> Iterator[Row]:
    """Yield the rows, each with both bounds; collective."""
    from homfem.cells import fibre_array, laminate, sphere_array

    yield from _around("fibres", fibre_array(fraction=0.3, resolution=0.025), FIBRES)
    yield from _around("spheres", sphere_array(fraction=0.3, resolution=0.12), SPHERES)
    square = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.04)
    yield from _vortices(square)
    yield from _generic(square)


def _around(name: str, cell: Any, known: Mapping[float, tuple[float, float]]) -> Iterator[Row]:
    from homfem.certify.dispersion import solve_dispersion

    solution = solve_dispersion(cell, {"matrix": 1.0}, peclet=list(known), bounds=True, degree=1)
    for tensor, (peclet, both) in zip(solution.series, known.items(), strict=True):
        for axis, theirs in enumerate(both):
            what = f"{name}: D* at Pe {peclet:g} {('along', 'across')[axis]}, bounded"
            yield _row(what, tensor, (axis, axis), theirs, ALLOWED[name], FINITE_ELEMENTS)


def _vortices(square: Any) -> Iterator[Row]:
    from homfem.certify.dispersion import StreamFunction, solve_dispersion

    for strength, theirs in VORTICES.items():
        flow = StreamFunction(function=_vortex(strength), fluid=("layer1", "layer2"))
        tensor = solve_dispersion(square, {"layer1": 1.0, "layer2": 1.0}, flow=flow, bounds=True).tensor
        what = f"vortices of strength {strength:g}: D*, bounded"
        yield _row(what, tensor, (0, 0), theirs, ALLOWED["vortices"], SPECTRAL)


def _generic(square: Any) -> Iterator[Row]:
    from homfem.certify.dispersion import StreamFunction, solve_dispersion

    flow = StreamFunction(function=_waves, fluid=("layer1", "layer2"))
    tensor = solve_dispersion(square, {"layer1": 1.0, "layer2": 1.0}, flow=flow, bounds=True).tensor
    for entry, theirs in GENERIC.items():
        what = f"flow without symmetry: D* {'xy'[entry[0]]}{'xy'[entry[1]]}, bounded"
        allowed = ALLOWED["generic flow"] * (1.0 if entry[0] == entry[1] else 30.0)
        yield _row(what, tensor, entry, theirs, allowed, SPECTRAL)


def _vortex(strength: float) -> Callable[[Any], Any]:
    return lambda x: strength * _cellular(x)


def _cellular(x: Any) -> Any:
    return np.sin(2 * np.pi * x[0]) * np.sin(2 * np.pi * x[1])


def _waves(x: Any) -> Any:
    more = 0.5 * np.cos(2 * np.pi * (x[0] + 2 * x[1])) + 0.3 * np.sin(2 * np.pi * (2 * x[0] - x[1]) + 0.7)
    return _cellular(x) + more


def _row(name: str, tensor: Any, entry: tuple[int, int], theirs: float, allowed: float, source: str) -> Row:
    """A row with the bounds of an entry: of one beside the diagonal what follows from those of all directions."""
    i, j = entry
    middle, half = 0.5 * (tensor.lower + tensor.upper), 0.5 * (tensor.upper - tensor.lower)
    # Of a matrix between L and U an entry is off the middle by at most the root of the product of half-gaps.
    room = float(np.sqrt(half[i, i] * half[j, j]))
    return Row(
        name=name,
        ours=float(tensor.value[i, j]),
        theirs=theirs,
        allowed=allowed,
        source=source,
        lower=float(middle[i, j]) - room,
        upper=float(middle[i, j]) + room,
    )
