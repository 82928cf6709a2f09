r"""Conjugate gradients with the Fourier-space inverse of a homogeneous medium as preconditioner.

A discrete operator of a homogeneous medium on a periodic grid is diagonal in Fourier space, so that its inverse costs
one transform there and one back. For coefficients between :math:`k_-` and :math:`k_+` the preconditioned operator has
its spectrum in :math:`[k_-,k_+]/k_0` on every grid: the number of iterations does not grow with the grid.

The inverse is applied in single precision. It only chooses directions; residuals and fields are in double precision.

Source: Ladecký, Leute, Falsafi, Pultarová, Pastewka, Junge, Zeman 2022, doi 10.1016/j.amc.2022.127835.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

Single = npt.NDArray[np.float32]
#: The energy of the last so many steps stands for what is still to come.
LOOK_BACK = 3


def axis_symbols(shape: tuple[int, ...], sizes: npt.ArrayLike) -> tuple[list[Array], list[Array], list[Array]]:
    """Symbols along each axis of differences squared, linear mass, and central difference; shaped to broadcast.

    For an angle t: (2 - 2 cos t)/h^2, (2 + cos t)/3, sin(t)/h.
    """
    difference: list[Array] = []
    mass: list[Array] = []
    slope: list[Array] = []
    for axis, (n, h) in enumerate(zip(shape, np.asarray(sizes, dtype=np.float64), strict=True)):
        angle: Array = 2.0 * np.pi * np.arange(n if axis < len(shape) - 1 else n // 2 + 1) / n
        form = tuple(-1 if a == axis else 1 for a in range(len(shape)))
        difference.append((4.0 * np.sin(0.5 * angle) ** 2 / h**2).reshape(form))
        mass.append(np.asarray((2.0 + np.cos(angle)) / 3.0, dtype=np.float64).reshape(form))
        slope.append(np.asarray(np.sin(angle) / h, dtype=np.float64).reshape(form))
    return difference, mass, slope


def inverse_symbol(symbol: Array) -> Single:
    """Return 1/symbol in single precision, zero for the mean value."""
    symbol[0, 0, 0] = np.inf
    return np.asarray(1.0 / symbol, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FourierInverse:
    """Application of an inverse symbol to real fields on the grid, in single precision.

    Parameters
    ----------
    inverse : array of float32
        Inverse symbol on the half spectrum.
    shape
        Shape of the fields.
    threads
        Number of threads of the transforms.
    """

    inverse: Single
    shape: tuple[int, ...]
    threads: int

    def __call__(self, field: npt.NDArray[Any]) -> Single:
        """Return the inverse applied to ``field``."""
        spectrum = scipy.fft.rfftn(field.astype(np.float32), workers=self.threads, overwrite_x=True)
        spectrum *= self.inverse
        return np.asarray(scipy.fft.irfftn(spectrum, s=self.shape, workers=self.threads, overwrite_x=True))


@dataclass(slots=True)
class Progress:
    """What the iteration of one load did.

    Parameters
    ----------
    iterations
        Number of products with the operator.
    energies
        By how much each step lowered the energy.
    """

    iterations: int = 0
    energies: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """When an iteration ends.

    Parameters
    ----------
    rtol
        Of the energy, see :func:`minimise`.
    max_iterations
        Limit of iterations.
    accept
        ``accept(residual, r.z / n, e)``: whether the residual is small enough for the purpose. It is asked once the
        energy has settled, and after every further reduction of the steps to a half.
    name
        For the message.
    """

    rtol: float
    max_iterations: int
    accept: Callable[[Array, float, float], bool] | None = None
    name: str = ""


def minimise(
    product: Callable[[Array, Array], None],
    precondition: Callable[[Array], npt.NDArray[Any]],
    side: Array,
    *,
    energy: float,
    count: int,
    stop: Stop,
) -> tuple[Array, Progress]:
    r"""Lower the energy :math:`e(x)=a+\frac1n(x\cdot Ax-2x\cdot b)` by preconditioned conjugate gradients.

    Step k lowers it by :math:`\frac1n\alpha_k\,r_k\cdot z_k`, which is known without cost. What the last three steps
    gained together is more than all that is left wherever three steps halve the error, and has to become smaller than
    ``stop.rtol * e``.

    Parameters
    ----------
    product
        ``product(x, out)``: the operator A, symmetric and positive semidefinite.
    precondition
        Returns z for a residual r.
    side : array
        b, in the range of A. Overwritten: it holds the residual of the recursion at the end.
    energy, count
        a and n.
    stop
        When it ends.

    Returns
    -------
    x : array
    progress : Progress

    Raises
    ------
    ConvergenceError
        If ``stop.max_iterations`` do not suffice.
    """
    from homfem.grid import kernels

    x, residual = np.zeros_like(side), side
    r = residual.reshape(-1)
    q = np.empty_like(side)
    progress = Progress()
    z = precondition(residual)
    p = z.astype(np.float64)
    size = kernels.dot(r, z.reshape(-1))
    first, target = size, stop.rtol
    while size > 1e-30 * first and size > 0.0:
        if progress.iterations >= stop.max_iterations:
            raise ConvergenceError(
                f"{stop.name}: {stop.max_iterations} iterations leave a relative energy step of "
                f"{progress.energies[-1] / energy:.1e}, short of rtol = {stop.rtol:g}"
            )
        product(p, q)
        curvature = kernels.dot(p.reshape(-1), q.reshape(-1))
        if curvature <= 0.0:
            break  # nothing but round-off is left
        step = size / curvature
        kernels.take_step(x.reshape(-1), p.reshape(-1), r, q.reshape(-1), step)
        progress.iterations += 1
        progress.energies.append(step * size / count)
        energy -= progress.energies[-1]
        z = precondition(residual)
        old, size = size, kernels.dot(r, z.reshape(-1))
        recent = sum(progress.energies[-LOOK_BACK:])
        if progress.iterations >= LOOK_BACK and recent <= target * abs(energy):
            if stop.accept is None or stop.accept(residual, size / count, energy):
                break
            target = min(target, recent / abs(energy)) * 0.5
        kernels.turn(p.reshape(-1), z.reshape(-1), size / old)
    return x, progress
