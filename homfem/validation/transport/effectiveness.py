"""The effectiveness factor of a layer, of cylinders and of spheres in which a solute reacts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from homfem.validation.rows import Row

#: By Thiele modulus l sqrt(k/D): l is half the thickness, the radius of the cylinder, that of the sphere.
FACTORS = {
    "layer": {1.0: 0.761594156, 2.0: 0.482013790},
    "cylinder": {1.0: 0.892779932, 2.0: 0.697774658},
    "sphere": {1.0: 0.939105856, 2.0: 0.805972081},
}
#: Straight facets change those of curved inclusions.
ALLOWED = {"layer": 1e-6, "cylinder": 1e-4, "sphere": 2e-3}
SOURCE = "closed form: tanh F/F; 2 I1(F)/(F I0(F)); 3 (F coth F - 1)/F^2"


def rows() -> Iterator[Row]:
    """Yield the factors of each at two Thiele moduli."""
    from homfem import homogenize_reactive_inclusions
    from homfem.cells import fibre_array, laminate, sphere_array

    fibres = fibre_array(fraction=0.3, resolution=0.03, dimension=2)
    cells: dict[str, tuple[Any, str, str, float, int]] = {
        "layer": (laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.03), "layer1", "layer2", 0.25, 2),
        "cylinder": (fibres, "fibre", "matrix", math.sqrt(0.3 / math.pi), 2),
        "sphere": (sphere_array(fraction=0.3, resolution=0.25), "sphere", "matrix", (0.225 / math.pi) ** (1 / 3), 2),
    }
    for shape, factors in FACTORS.items():
        cell, inclusion, around, length, degree = cells[shape]
        for thiele, theirs in factors.items():
            rates = {inclusion: (thiele / length) ** 2}
            found = homogenize_reactive_inclusions(cell, {inclusion: 1.0, around: 1.0}, rates, degree=degree)
            own = found.coefficients["effectiveness"]
            value, lower, upper = (float(side) for side in (own.value, own.lower, own.upper) if side is not None)
            told: dict[str, Any] = {"theirs": theirs, "allowed": ALLOWED[shape], "source": SOURCE}
            name = f"{shape}: effectiveness at a Thiele modulus of {thiele:g}"
            yield Row(name=name, ours=value, lower=lower, upper=upper, **told)
