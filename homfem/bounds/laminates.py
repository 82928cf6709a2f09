r"""Exact laminates of rank one, in closed form, for any number of layers and any normal.

In a laminate with unit normal n the normal flux (traction) and the tangential gradient (strain) are the same in all
layers. With :math:`a = N^TCN`, N taking an amplitude to a gradient :math:`a\,n` (a strain
:math:`\mathrm{sym}(a\otimes n)`), elimination of the amplitudes gives

.. math:: C^* = \langle C\rangle - \langle CN a^{-1} N^TC\rangle
          + \langle CNa^{-1}\rangle\langle a^{-1}\rangle^{-1}\langle a^{-1}N^TC\rangle .

A laminate of higher rank is a laminate whose layers are laminates: call again with the result as a layer.

Source: Backus 1962, J. Geophys. Res. 67, 4427; Milton 2002, The Theory of Composites, sections 9.2 and 9.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.bounds.phases import Fractions, PerPhase, conductivities, stiffnesses
from homfem.brackets import symmetric
from homfem.parameters import Array, InputError
from homfem.stiffness import basis, mandel_to_voigt, voigt_to_mandel


def laminate_conductivity(layers: PerPhase, fractions: Fractions, normal: npt.ArrayLike) -> Array:
    """Return the exact effective conductivity of a laminate.

    Parameters
    ----------
    layers
        One per layer: a number > 0, an SPD (d, d) matrix, or 0 for an insulating layer.
    fractions
        Volume fractions (relative thicknesses), which sum to one.
    normal
        Normal of the layers, shape (d,), of any length; it sets the dimension, 2 or 3.

    Returns
    -------
    ndarray, shape (d, d), in the unit of the layers.

    Raises
    ------
    InputError
        For a coefficient that is not positive, fractions that do not fit, a zero normal.
    """
    n = _unit(normal)
    _, matrices, shares = conductivities(layers, fractions, len(n))
    return _laminate(np.asarray(matrices), shares, n[:, None])


def laminate_stiffness(layers: PerPhase, fractions: Fractions, normal: npt.ArrayLike) -> Array:
    """Return the exact effective stiffness of a laminate of perfectly bonded layers of any anisotropy.

    Parameters
    ----------
    layers
        One per layer: 0 for a void, a mapping such as ``{"young": 10.0, "poisson": 0.3}``, or a Voigt matrix.
    fractions, normal
        As for :func:`laminate_conductivity`; dimension 2 is plane strain.

    Returns
    -------
    ndarray, Voigt matrix of shape (6, 6) or (3, 3), in the unit of the layers.
    """
    n = _unit(normal)
    _, matrices, shares = stiffnesses(layers, fractions, len(n))
    mandel = np.asarray([voigt_to_mandel(matrix) for matrix in matrices])
    return mandel_to_voigt(_laminate(mandel, shares, np.asarray(basis(len(n)) @ n)))


def _unit(normal: npt.ArrayLike) -> Array:
    n = np.asarray(normal, dtype=np.float64)
    length = float(np.linalg.norm(n)) if n.shape in ((2,), (3,)) else 0.0
    if not (np.isfinite(length) and length > 0.0):
        raise InputError("normal", normal, "a vector of 2 or 3 numbers that is not zero")
    return np.asarray(n / length)


def _laminate(layers: Array, fractions: Array, amplitudes: Array) -> Array:
    """Effective matrix of layers (p, n, n) with a matrix (n, m) that takes an amplitude to a gradient or strain."""
    present = np.any(layers != 0.0, axis=(1, 2))
    c, f = layers[present], fractions[present]
    if not len(c):
        return np.zeros_like(layers[0])
    flux = c @ amplitudes
    inverse = np.linalg.inv(np.swapaxes(amplitudes.T @ flux, 1, 2))
    relaxed = np.einsum("p,pij->ij", f, c - flux @ inverse @ np.swapaxes(flux, 1, 2))
    if np.all(present):  # else an empty layer interrupts every normal flux
        mean_inverse = np.einsum("p,pij->ij", f, inverse)
        mean_flux = np.einsum("p,pij->ij", f, flux @ inverse)
        relaxed = relaxed + mean_flux @ np.linalg.solve(mean_inverse, mean_flux.T)
    return symmetric(relaxed)
