r"""What follows from the matrix of Onsager: conductivity, electro-osmosis, permeabilities, transference.

With :math:`f_0=-\nabla P`, :math:`f_i=-\nabla\mu_i`; for uniform concentrations in the bath an electric field
:math:`E=-\nabla\psi` is :math:`f_i=z_iFE`, and the current :math:`I=F\sum_iz_iJ_i`:

.. math:: U = L_{00}f_0+K_IE ,\quad I = K_I^Tf_0+\sigma E ,\qquad
          K_I=F\sum_jz_jL_{0j} ,\quad \sigma=F^2\sum_{ij}z_iz_jL_{ij} .

:math:`K_I` is the electro-osmotic mobility (flow without a pressure gradient per field) and, transposed, the streaming
current per pressure gradient (Onsager). With nowhere to go the current stops the flow by the field that it builds up:
:math:`\eta(L_{00}-K_I\sigma^{-1}K_I^T)<\eta L_{00}`, the electro-viscous permeability. The ion i carries
:math:`t_i=Fz_i\sum_jFz_jL_{ij}\,\sigma^{-1}` of the current without a pressure gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from homfem.brackets import symmetric
from homfem.coefficients import NamedCoefficient
from homfem.electrolytes.ions import Ion
from homfem.parameters import Array

#: Units of the results of an input in SI.
UNITS: Mapping[str, str] = {
    "conductivity": "S/m",
    "electroosmotic_mobility": "m^2/(V*s)",
    "permeability": "m^2",
    "electroviscous_permeability": "m^2",
    "streaming_coupling": "V/Pa",
    "concentration": "mol/m^3",
}


def conventions(ions: Sequence[Ion], temperature: float | None) -> dict[str, str]:
    """Return in words what one must know to use the numbers."""
    names = ", ".join(f"-grad mu of {ion.name}" for ion in ions)
    units = "kT = e = 1" if temperature is None else "SI: m/s, mol/(m^2 s), Pa/m, J/(mol m)"
    return {
        "average": "per volume of the whole cell",
        "velocity": "superficial: flow through the section of the whole cell",
        "regime": "double layers in equilibrium (Poisson-Boltzmann), linear response with flow",
        "variables": "onsager: flow and fluxes of ions against -grad P, P = p - RT sum c, and the electrochemical "
        "potentials; onsager_bath: flow and excess fluxes J - c_bath U against the pressure gradient of the virtual "
        "bath and the electrochemical potentials",
        "order": f"blocks of the axes: -grad P, {names}; {units}",
        "conductivity": "current per field at uniform bath concentrations without a gradient of P",
        "electroosmotic_mobility": "flow per field; its transpose is the streaming current per pressure gradient",
        "transference": "part of the current at uniform bath concentrations and P, electro-osmotic flow included",
        "streaming_coupling": "gradient of the potential per gradient of P at zero current",
        **({} if temperature is None else {"temperature": f"{temperature:g} K"}),
    }


def derived(matrix: Array, ions: Sequence[Ion], span: Array, *, viscosity: float, charge: float) -> dict[str, Array]:
    """Return what follows from Onsager's matrix, by name; all in the unit system of the matrix.

    Parameters
    ----------
    matrix : array, shape (d (1 + N), d (1 + N))
    ions
        Its ions, in order.
    span : array, shape (k, d)
        Orthonormal directions in which the fluid percolates.
    viscosity, charge
        Of the fluid; of a mole of protons.
    """
    d = span.shape[1]
    blocks = matrix.reshape(1 + len(ions), d, 1 + len(ions), d).swapaxes(1, 2)
    z = charge * np.array([ion.valence for ion in ions], dtype=float)
    mobility = np.einsum("j,jkl->kl", z, blocks[0, 1:])
    conductivity = np.einsum("i,j,ijkl->kl", z, z, blocks[1:, 1:])
    found = {
        "conductivity": conductivity,
        "permeability": viscosity * blocks[0, 0],
        "electroosmotic_mobility": mobility,
    }
    if np.any(z):
        inverse = span.T @ np.linalg.solve(span @ conductivity @ span.T, span)
        found["electroviscous_permeability"] = viscosity * (blocks[0, 0] - mobility @ inverse @ mobility.T)
        found["streaming_coupling"] = -inverse @ mobility.T
        for k, ion in enumerate(ions):
            found[f"transference.{ion.name}"] = z[k] * np.einsum("j,jkl->kl", z, blocks[1 + k, 1:]) @ inverse
    return found


def conducting(ions: Sequence[Ion], d: int, charge: float) -> Array:
    """Return the matrix Z of :math:`\\sigma=ZLZ^T`, shape (d, d (1 + N))."""
    z = np.array([0.0, *(charge * ion.valence for ion in ions)])
    return np.asarray(np.kron(z, np.eye(d)), dtype=np.float64)


def named(
    found: Mapping[str, Array], maps: Mapping[str, Array], bounds: tuple[Array, ...] | None, *, units: bool
) -> dict[str, NamedCoefficient]:
    """Return the coefficients of a result, in SI or without units.

    Parameters
    ----------
    found
        By name.
    maps
        Of those that are :math:`AL_bA^T` the matrix A.
    bounds
        Of :math:`L_b`, in the Loewner order; or None.
    units
        Whether they are in SI.
    """
    result = {}
    for name, value in found.items():
        unit = UNITS.get(name.split(".")[0], "") if units else ""
        basis = "scalar" if np.ndim(value) == 0 else "matrix" if np.shape(value) in ((2, 2), (3, 3)) else ""
        sides: dict[str, Any] = {}
        if bounds is not None and name in maps:
            lower, upper = (symmetric(maps[name] @ side @ maps[name].T) for side in bounds)
            value = symmetric(value)
            sides = {"lower": lower, "upper": upper, "order": "loewner"}
        result[name] = NamedCoefficient(value=np.asarray(value), unit=unit, basis=basis, **sides)
    return result
