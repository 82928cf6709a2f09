r"""Block media in three dimensions: boxes of constant diffusivity in a periodic cell.

The method of :mod:`homfem.blocks.galerkin` with products of Legendre polynomials :math:`P_p(s)P_q(t)` as fluxes on the
faces. In a box :math:`l_1\times l_2\times l_3` with diffusivities :math:`D_1,D_2,D_3` the outward flux f(s, t) per
unit of s and t on the face :math:`x_1=0` gives the potential (zero mean; moments
:math:`c_{ij}=\iint f\cos i\pi s\cos j\pi t`, :math:`\epsilon_0=1,\ \epsilon_k=2`)

.. math:: v=\frac{l_1F}{D_1l_2l_3}\Bigl(\frac{(1-\xi)^2}{2}-\frac16\Bigr)+\sum_{(i,j)\ne0}
   \frac{l_1\epsilon_i\epsilon_jc_{ij}}{D_1l_2l_3}\,\frac{\cosh\kappa(1-\xi)}{\kappa\sinh\kappa}\cos i\pi s\cos j\pi t,
   \qquad \kappa_{ij}^2=\frac{l_1^2}{D_1}\Bigl(\frac{D_2i^2\pi^2}{l_2^2}+\frac{D_3j^2\pi^2}{l_3^2}\Bigr),

with :math:`\xi=x_1/l_1`: the two-dimensional derivation of :mod:`homfem.blocks.elements` with a double sum. Faces in
the other directions follow by permutation. The sums are truncated after ``modes`` modes in each direction. The
neglected energy of a polynomial flux is of the order modes^-4, so the tensor approaches the exact one from below up to
that; it is no guaranteed bound. The edges of the boxes are singular and not resolved by special functions here: the
error falls algebraically with the degree, and faster when the boxes are cut into layers that are thin at their faces
(:meth:`BoxMedium.graded`): a checkerboard of contrast 15 from 1.5 % (degree 4) to 0.6 % (degree 2, three layers).

The vertex-centred finite volumes in three dimensions (:func:`box_volumes`) are the mean of linear finite elements over
the ways to cut a cube along a diagonal, hence a guaranteed upper bound.

Source: March, Carr, Turner, footnote 2 (the extension is theirs in words only).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import scipy.fft
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.polynomial import Legendre

from homfem.blocks.elements import decay
from homfem.blocks.layout import check_lengths
from homfem.blocks.medium import check_diffusivity
from homfem.brackets import relative_error, symmetric
from homfem.kinds import conduction_in
from homfem.limits import MemoryLimitError, require_memory
from homfem.parameters import Array, CellError, ConvergenceError, check_integer
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")
#: Bytes for each node of the finite volumes: measured, rounded up.
BYTES = 300.0
#: Bytes for each entry of the boxes' matrices, times the number of boxes to the power 2/3, for the factors.
FACTORS = 13.0
#: Conjugate gradients of the finite volumes for one load.
MOST_ITERATIONS = 3000
#: A relative error that is worth a warning.
LARGE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoxMedium:
    """A periodic cell of n1 x n2 x n3 boxes.

    Parameters
    ----------
    diffusivity : array, shape (n1, n2, n3) or (n1, n2, n3, 3)
        Entry (i, j, k) belongs to the i-th box along x, the j-th along y, the k-th along z; the second shape gives
        (D_x, D_y, D_z) of boxes whose principal axes are the coordinate axes. Finite and > 0.
    lengths : tuple of three arrays, optional
        Lengths of the boxes along x, y and z, > 0; by default the cell is a unit cube with equal boxes.

    Raises
    ------
    CellError
        Wrong shape, diffusivities that are not positive, lengths that do not fit.
    """

    diffusivity: Array
    lengths: tuple[Array, Array, Array] = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        try:
            given = np.array(self.diffusivity, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise CellError("diffusivity", self.diffusivity, "a rectangular array of numbers") from error
        if given.ndim not in (3, 4) or given.size == 0 or (given.ndim == 4 and given.shape[3] != 3):
            raise CellError("diffusivity", self.diffusivity, "an array of shape (n1, n2, n3) or (n1, n2, n3, 3)")
        check_diffusivity(given, anisotropic=given.ndim == 4)
        if np.any(given <= 0.0):
            raise CellError("diffusivity", given, "> 0 in every box", "Insulating boxes are not supported in 3D.")
        given = given if given.ndim == 4 else np.repeat(given[..., None], 3, axis=3)
        given.setflags(write=False)
        object.__setattr__(self, "diffusivity", given)
        asked = (None, None, None) if self.lengths is None else tuple(self.lengths)
        if len(asked) != 3:
            raise CellError("lengths", self.lengths, "three lists of lengths, along x, y and z")
        parts = tuple(check_lengths(f"lengths[{a}]", asked[a], given.shape[a], "layer") for a in range(3))
        object.__setattr__(self, "lengths", parts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of boxes along x, y and z."""
        return self.diffusivity.shape[:3]  # type: ignore[return-value]

    def graded(self, shares: Sequence[float]) -> BoxMedium:
        """Return the same medium with every box cut into layers along each axis: thin ones at the faces, for example.

        Parameters
        ----------
        shares
            Thickness of the layers as fractions of the box, > 0, with the sum 1, such as ``(0.15, 0.7, 0.15)``.
        """
        parts = check_lengths("shares", shares, len(shares), "layer")
        if abs(float(parts.sum()) - 1.0) > 1e-9:
            raise CellError("shares", shares, "fractions whose sum is 1")
        values = self.diffusivity
        for axis in range(3):
            values = np.repeat(values, len(parts), axis=axis)
        lengths = tuple(np.outer(part, parts).ravel() for part in self.lengths)
        return BoxMedium(diffusivity=values, lengths=lengths)  # type: ignore[arg-type]

    @property
    def periods(self) -> Array:
        """Lengths of the cell, shape (3,)."""
        return np.array([part.sum() for part in self.lengths])


def homogenize_boxes(medium: BoxMedium, *, degree: int = 3, modes: int = 48, unit: str = "") -> EffectiveTensor:
    """Return the effective tensor of a medium of boxes by the Galerkin method for the face fluxes.

    Parameters
    ----------
    medium
        The boxes.
    degree
        Polynomial degree of the fluxes in both directions of a face, 0 to 8.
    modes
        Cosine modes kept in each direction, at least 4 (degree + 1).
    unit
        Unit of the diffusivities, or of conductivities of electricity or heat.

    Returns
    -------
    EffectiveTensor
        Without guaranteed bounds; the value lies below the exact tensor up to the truncation of the sums.
        ``estimated_error`` compares it with the upper bound of finite volumes with 8 intervals per box.
    """
    from homfem import __version__

    check_integer("degree", degree, at_least=0, at_most=8)
    check_integer("modes", modes, at_least=4 * (degree + 1))
    physics = conduction_in(unit)
    start = time.perf_counter()
    value, unknowns = _galerkin(medium, degree, modes)
    compared = _compared(value, lambda: (value, _volumes(medium, 8)[0]))
    seconds = time.perf_counter() - start
    log.info("boxes: %d unknowns, %.2f s", unknowns, seconds)
    return EffectiveTensor(
        value=value,
        unit=unit,
        physics=physics,
        method="box-galerkin",
        dofs=unknowns,
        volume_fractions={"conducting": 1.0},
        active_phases=("conducting",),
        **compared,
        seconds={"total": seconds},
        versions={"homfem": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
        config={"degree": degree, "modes": modes},
    )


def _galerkin(medium: BoxMedium, degree: int, modes: int) -> tuple[Array, int]:
    """Return the tensor of the Galerkin method and its number of unknowns."""
    counts, n = np.array(medium.shape), (degree + 1) ** 2
    boxes = float(counts.prod())
    entries = boxes * (6.0 * n) ** 2
    needed, what = FACTORS * boxes ** (2.0 / 3.0) * entries, f"a matrix of {entries:.2g} entries with its factors"
    require_memory("degree", degree, needed, what, "Choose a smaller one, or fewer boxes.")
    number = np.arange(int(counts.prod())).reshape(counts)
    sizes = np.stack(np.meshgrid(*medium.lengths, indexing="ij"), axis=-1).reshape(-1, 3)
    axial = medium.diffusivity.reshape(-1, 3)
    # Only l_a^2 / D_a and a scale matter: boxes that agree in the ratios share one matrix.
    stretched = sizes / np.sqrt(axial)
    scale = 1.0 / (np.sqrt(axial.prod(axis=1)) * stretched[:, 0])
    kinds, kind = np.unique(np.round(stretched / stretched[:, :1], 12), axis=0, return_inverse=True)
    kind = kind.ravel()
    local = np.stack([_box_energies(ratio, degree, modes) for ratio in kinds])
    signs = np.repeat(np.array([-1.0, 1.0] * 3), n)
    local *= signs[:, None] * signs[None, :]
    # Face (axis, box) is the lower face of the box along that axis.
    faces = [[a * number.size + number, a * number.size + np.roll(number, -1, axis=a)] for a in range(3)]
    sides = np.stack([face.ravel() for pair in faces for face in pair], axis=1)
    dofs = (sides[:, :, None] * n + np.arange(n)).reshape(len(sides), 6 * n)
    total = 3 * number.size * n
    energy = sp.coo_matrix(
        (
            (local[kind] * scale[:, None, None]).ravel(),
            (np.repeat(dofs, 6 * n, axis=1).ravel(), np.tile(dofs, (1, 6 * n)).ravel()),
        ),
        shape=(total, total),
    ).tocsr()
    balance = sp.coo_matrix(
        (np.tile([-1.0, 1.0] * 3, len(sides)), (np.repeat(np.arange(len(sides)), 6), (sides * n).ravel())),
        shape=(len(sides), total),
    ).tocsr()[1:]  # the first constant is zero
    loads = np.zeros((total, 3))
    for a in range(3):
        border = np.take(number, 0, axis=a).ravel()
        loads[(a * number.size + border) * n, a] = medium.periods[a]
    matrix = sp.block_array([[energy, balance.T], [balance, None]]).tocsc()
    right = np.vstack([loads, np.zeros((balance.shape[0], 3))])
    flux = spla.splu(matrix).solve(right)[:total]
    work, square = loads.T @ flux, flux.T @ (energy @ flux)
    value = (work + work.T - 0.5 * (square + square.T)) / float(medium.periods.prod())
    return np.asarray(value), matrix.shape[0] + 1


def _box_energies(size: Array, degree: int, modes: int) -> Array:
    """Return the energies between the fluxes on the six faces of a box of unit diffusivity, (6 n, 6 n).

    Faces in the order lower x, upper x, lower y, ...; on a face the functions P_p(s) P_q(t) with s, t the remaining
    axes in ascending order, q fastest. ``size``: the three lengths.
    """
    n1 = degree + 1
    nodes, weights = np.polynomial.legendre.leggauss(3 * modes + 40)
    s, w = 0.5 * (nodes + 1.0), 0.5 * weights
    functions = np.array([Legendre.basis(p)(nodes) for p in range(n1)]) * w
    k = np.pi * np.arange(modes + 1)
    c = functions @ np.cos(np.outer(s, k))  # (n1, modes + 1)
    quadratic = functions @ ((1.0 - s) ** 2 / 2.0 - 1.0 / 6.0)
    mirror = (-1.0) ** np.arange(n1)
    alternate = (-1.0) ** np.arange(modes + 1)
    factor = np.where(np.arange(modes + 1) == 0, 1.0, 2.0)
    result = np.zeros((3, 2, n1, n1, 3, 2, n1, n1))
    for a in range(3):
        b, d = (axis for axis in range(3) if axis != a)
        kappa = size[a] * np.hypot(k[:, None] / size[b], k[None, :] / size[d])
        flat = kappa.ravel().copy()
        flat[0] = 1.0
        lead = size[a] / (size[b] * size[d])
        weight = lead * np.outer(factor, factor)
        ends = decay(flat, np.array([0.0, 1.0])) / flat
        # Zero mode: (1-xi)^2/2 - 1/6 is 1/3 on the face itself and -1/6 opposite.
        same, opposite = (weight * end.reshape(kappa.shape) for end in ends)
        same[0, 0], opposite[0, 0] = lead / 3.0, -lead / 6.0
        for table, pairs in ((same, ((0, 0), (1, 1))), (opposite, ((0, 1), (1, 0)))):
            block = np.einsum("pi,ri,ij,qj,tj->pqrt", c, c, table, c, c, optimize=True)
            for first, second in pairs:
                result[a, first, :, :, a, second] = block
        # Faces across axis e: the flux there is P_r(along a) P_t(along the third axis g).
        falls = (functions @ decay(flat, s)).reshape(n1, *kappa.shape) / flat.reshape(kappa.shape)
        falls[:, 0, 0] = quadratic
        for e in (b, d):
            for end_a in (0, 1):
                side = falls if end_a == 0 else falls * mirror[:, None, None]
                for end_e in (0, 1):
                    sign = alternate if end_e else np.ones(modes + 1)
                    if e == b:
                        block = np.einsum("pi,i,qj,ij,rij,tj->pqrt", c, sign, c, weight, side, c, optimize=True)
                    else:
                        block = np.einsum("pi,qj,j,ij,rij,ti->pqrt", c, c, sign, weight, side, c, optimize=True)
                    # Axes of face e in ascending order: a first if it comes before the third axis.
                    g = 3 - a - e
                    result[a, end_a, :, :, e, end_e] = block if a < g else block.transpose(0, 1, 3, 2)
    full = result.reshape(6 * n1 * n1, 6 * n1 * n1)
    return symmetric(full)


def box_volumes(medium: BoxMedium, *, intervals: int = 8, tolerance: float = 1e-10) -> EffectiveTensor:
    """Return the effective tensor of a medium of boxes by finite volumes: an upper bound.

    Conjugate gradients with the homogeneous medium on the same grid as preconditioner, through the FFT.

    Parameters
    ----------
    medium
        The boxes.
    intervals
        Mesh intervals per box and axis, >= 1.
    tolerance
        Relative residual.

    Returns
    -------
    EffectiveTensor
        ``estimated_error`` compares it with the Galerkin method for the face fluxes at degree 2.

    Raises
    ------
    ConvergenceError
        Conjugate gradients that stall.
    """
    check_integer("intervals", intervals, at_least=1)
    start = time.perf_counter()
    value, nodes, count = _volumes(medium, intervals, tolerance)
    return EffectiveTensor(
        value=value,
        upper=value,
        method="finite-volume",
        dofs=nodes,
        iterations=count,
        **_compared(value, lambda: (_galerkin(medium, 2, 16)[0], value)),
        seconds={"total": time.perf_counter() - start},
        config={"intervals": intervals},
    )


def _compared(value: Array, bounds: Callable[[], tuple[Array, Array]]) -> dict[str, Any]:
    """Return the fields that say what two methods from opposite sides know of the error of one of them."""
    try:
        lower, upper = bounds()
    except (ConvergenceError, MemoryLimitError) as failed:
        return {"warnings": (f"nothing is known of the error: the other method for boxes fails ({failed})",)}
    error = relative_error(value, lower, upper)[1]
    remedy = "a higher degree, more intervals or thinner boxes at the faces (BoxMedium.graded) make it smaller"
    warning = f"the error may be large: the two methods for boxes leave {error:.2g} of their mean open; {remedy}"
    return {"estimated_error": error, "warnings": (warning,) if error > LARGE else ()}


def _volumes(medium: BoxMedium, intervals: int, tolerance: float = 1e-10) -> tuple[Array, int, int]:
    """Return the tensor of the finite volumes, the number of nodes and that of iterations."""
    nodes = float(intervals) ** 3 * float(np.prod(medium.shape))
    require_memory("intervals", intervals, BYTES * nodes, f"a grid of {nodes:.3g} nodes", "Choose a smaller one.")
    grid = medium.diffusivity
    for a in range(3):
        grid = np.repeat(grid, intervals, axis=a)
    steps = [
        (np.repeat(part, intervals) / intervals).reshape([-1 if b == a else 1 for b in range(3)])
        for a, part in enumerate(medium.lengths)
    ]
    conduct = []
    for a in range(3):
        edge = grid[..., a] / steps[a]
        for other in range(3):
            if other != a:
                edge = edge * steps[other]
                edge = 0.5 * (edge + np.roll(edge, 1, axis=other))
        conduct.append(edge)
    waves = [2.0 - 2.0 * np.cos(2.0 * np.pi * scipy.fft.fftfreq(size)) for size in grid.shape[:3]]
    waves[2] = waves[2][: grid.shape[2] // 2 + 1]
    symbol: Any = sum(conduct[a].mean() * waves[a].reshape([-1 if b == a else 1 for b in range(3)]) for a in range(3))
    symbol[0, 0, 0] = 1.0
    drops, count = [], 0
    for load in range(3):
        applied = [steps[a] if a == load else 0.0 for a in range(3)]
        field, iterations = _potential(conduct, applied, symbol, tolerance)
        drops.append([drop + part for drop, part in zip(_drops(field), applied, strict=True)])
        count += iterations
    value = np.array([[sum(np.vdot(p[a], conduct[a] * q[a]) for a in range(3)) for q in drops] for p in drops])
    return value / float(medium.periods.prod()), int(nodes), count


def _drops(field: Array) -> list[Array]:
    return [np.roll(field, -1, axis=a) - field for a in range(3)]


def _gathered(fluxes: list[Array]) -> Array:
    return np.asarray(sum(np.roll(fluxes[a], 1, axis=a) - fluxes[a] for a in range(3)))


def _potential(conduct: list[Array], applied: list[Any], symbol: Array, tolerance: float) -> tuple[Array, int]:
    """Return the periodic potential under applied drops along the edges, and the number of iterations."""
    residual = -_gathered([part * drop for part, drop in zip(conduct, applied, strict=True)])
    field, limit = np.zeros(residual.shape), tolerance * max(float(np.linalg.norm(residual)), 1e-300)
    direction, previous, count = np.zeros_like(field), 0.0, 0
    while not np.linalg.norm(residual) <= limit < np.inf:
        transform = scipy.fft.rfftn(residual)
        transform[0, 0, 0] = 0.0
        scaled = scipy.fft.irfftn(transform / symbol, s=residual.shape)
        product = float(np.vdot(residual, scaled))
        direction = scaled + (product / previous if previous else 0.0) * direction
        image = _gathered([conduct[a] * drop for a, drop in enumerate(_drops(direction))])
        curvature = float(np.vdot(direction, image))
        if count == MOST_ITERATIONS or not min(curvature, product) > 0.0:  # or nothing but round-off is left
            raise ConvergenceError(f"box finite volumes: no convergence in {count} iterations")
        length = product / curvature
        field += length * direction
        residual = residual - length * image
        previous, count = product, count + 1
    return field, count
