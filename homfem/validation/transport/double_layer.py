"""Charged pores with double layers: a slit, and an array of charged cylinders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from homfem.validation.rows import Row

#: Half-width 1, kappa 2, zeta -2, D = 1, eta 1; order (U, J+, J-), averages over the slit.
SLIT = {
    "L_00": 0.3333333333, "L_0+": 0.7151236702, "L_0-": 0.1682300666, "L_++": 4.3018878633, "L_+-": 0.3562647688,
    "L_--": 0.5225427742, "conductivity": 4.111901100, "electro-osmosis": 0.5468936036,
    "transference of +": 0.9595617693, "mean of c+": 2.736703332, "mean of c-": 0.4369036716,
}  # fmt: skip
#: Square array of cylinders, fraction .3: kappa 10 per period, zeta -2, eta .08, D = 1; per volume of the cell.
FIBRES = {
    "L_00": 0.11965935, "L_0+": 0.19628203, "L_0-": 0.07533562, "L_++": 1.47967447, "L_+-": 0.12158068,
    "L_--": 0.33809791, "L_b 0+": 0.07662268, "L_b 0-": -0.04432373, "L_b ++": 1.20676976, "L_b +-": -0.03037761,
    "L_b --": 0.30708603, "conductivity": 1.57461101, "electro-osmosis": 0.12094641, "transference of +": 0.86249478,
    "mean of c+": 1.43021879, "mean of c-": 0.42088442,
}  # fmt: skip
#: The same without charge, eta .5.
UNCHARGED = {"L_00": 0.0194398781, "L_++": 0.5570198618, "L_0+": 0.0194398781, "L_+-": 0.0194398781}
CHEBYSHEV = "Chebyshev collocation and elliptic functions, independently of homfem"
ELEMENTS = "finite elements of orders 6 to 10 on curved meshes, independently of homfem"


def rows() -> Iterator[Row]:
    """Yield the matrices of Onsager of a slit and of fibres, and what follows from them."""
    from homfem import homogenize_electrokinetics
    from homfem.cells import fibre_array, slit
    from homfem.electrolytes import ChargedSlit, Ion

    salt = [
        Ion(name=n, valence=z, bath=1.0, diffusivities={"pore": 1.0, "matrix": 1.0}) for n, z in (("+", 1), ("-", -1))
    ]
    plane = slit(0.5, axis="y", resolution=0.05, period=4.0)
    charged: dict[str, Any] = {"viscosity": 1.0, "permittivity": 0.5, "degree": 4}
    tensor = homogenize_electrokinetics(plane, salt, wall_potential=-2.0, **charged)
    yield from _beside("charged slit", _numbers(tensor, 0.5), SLIT, 5e-8, CHEBYSHEV)
    exact = ChargedSlit(zeta=4.0, kappa=2.0)
    expected = exact.onsager(viscosity=1.0)
    found = _numbers(homogenize_electrokinetics(plane, salt, wall_potential=4.0, **charged), 0.5)
    closed = {name: float(expected[place]) for name, place in (("L_0-", (0, 2)), ("L_++", (1, 1)), ("L_--", (2, 2)))}
    closed["conductivity"] = float(exact.concentrations.sum() + 0.25 * exact.mean_square_field)
    closed["electro-osmosis"] = -0.5 * (4.0 - exact.mean_potential)
    yield from _beside("slit at 4 kT/e", found, closed, 5e-5, "closed form, elliptic functions")
    fibres = fibre_array(fraction=0.3, resolution=0.05, order=2)
    given: dict[str, Any] = {"permittivity": 2.0 / 10.0**2, "degree": 3}
    tensor = homogenize_electrokinetics(fibres, salt, "matrix", viscosity=0.08, wall_potential=-2.0, **given)
    yield from _beside("charged fibres", _numbers(tensor, 1.0), FIBRES, 1e-5, ELEMENTS)
    tensor = homogenize_electrokinetics(fibres, salt, "matrix", viscosity=0.5, **given)
    yield from _beside("uncharged fibres", _numbers(tensor, 1.0), UNCHARGED, 1e-5, ELEMENTS)


def _numbers(tensor: Any, fraction: float) -> dict[str, float]:
    """Entries along x, averaged over a part of the cell."""
    found = {name: one.value for name, one in tensor.coefficients.items()}
    result = {}
    for text, matrix in (("L_", found["onsager"]), ("L_b ", found["onsager_bath"])):
        for i, j in np.ndindex(3, 3):
            result[f"{text}{'0+-'[i]}{'0+-'[j]}"] = matrix[2 * i, 2 * j] / fraction
    result["conductivity"] = found["conductivity"][0, 0] / fraction
    result["electro-osmosis"] = found["electroosmotic_mobility"][0, 0] / fraction
    result["transference of +"] = found["transference.+"][0, 0]
    result |= {f"mean of c{sign}": found[f"concentration.{sign}"] / fraction for sign in "+-"}
    return {name: float(value) for name, value in result.items()}


def _beside(cell: str, ours: dict[str, float], theirs: dict[str, float], allowed: float, source: str) -> Iterator[Row]:
    for name, value in theirs.items():
        yield Row(name=f"{cell}: {name}", ours=ours[name], theirs=value, allowed=allowed, source=source)
