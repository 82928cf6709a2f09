r"""What the transport of each ion says of a gel: conductivity, transference, diffusion of salt; with bounds.

With :math:`J_i=-L_i(\nabla\ln c_{ib}+z_i\nabla\psi)` and no gradient of concentrations the current is that of the
conductivity :math:`\sigma=\sum_iz_i^2L_i`, of which the ion carries :math:`t_i=z_i^2L_i\sigma^{-1}` (a tensor, not
symmetric in general). At zero current

.. math:: J_i=-\sum_jN_{ij}\nabla\ln c_{jb},\qquad
    \sum_{ij}x_i\cdot N_{ij}x_j=\min_E\sum_i(x_i+z_iE)\cdot L_i(x_i+z_iE),

so that :math:`N_{ij}=\delta_{ij}L_i-z_iz_jL_i\sigma^{-1}L_j`. What is stored is
:math:`d\langle c_i\rangle=\sum_jS_{ij}\,d\ln c_{jb}` with :math:`S_{ij}=\sum_p\varphi_p(c_i\delta_{ij}-
z_ic_iz_jc_j/\sum_kz_k^2c_k)` at a fixed charge. Both have the kernel z: with the last ion left out (its concentration
follows) the macroscale equations are :math:`\partial_tC_i=\nabla\cdot\sum_jD_{ij}\nabla C_j`,
:math:`D=NS^{-1}`. Of two ions one number is left of S; for 1:1 it is
:math:`D_s=2(L_+^{-1}+L_-^{-1})^{-1}/(c_bR)`, :math:`R=d\langle c_-\rangle/dc_b`.

**Bounds.** With :math:`l_i\le L_i\le u_i`: :math:`\sigma` has the sums; N, a minimum of what grows with every
:math:`L_i`, lies between those of l and of u in the Loewner order of all ions together, and so does :math:`D_s`. For
:math:`A=z_i^2L_i` and the rest B within :math:`\pm G_A,\pm G_B` of the middle,
:math:`t-t_0=((I-t_0)\,dA-t_0\,dB)\,\sigma^{-1}`, whose entries are at most

.. math:: \Bigl(|G_A^{1/2}(I-t_0)^Te_k|\,\lambda(G_A)+|G_B^{1/2}t_0^Te_k|\,\lambda(G_B)\Bigr)
    \sqrt{e_l\cdot\sigma_l^{-1}e_l},\qquad \lambda(G)^2=\lambda_{\max}(G\sigma_l^{-1}).

Where nothing flows in a direction all of this is in the span of the others.

**Frozen** concentrations: the flux of the ion is :math:`\langle s_i(I+\nabla\chi)\rangle` with the corrector of
:math:`s=\sum s_i`. Where :math:`s_i=\alpha+\beta s` in every phase (always so of two phases that conduct alike in all
directions) it is :math:`\alpha+\beta s^*`, without any further problem; :math:`\alpha=0` beside an insulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from homfem.brackets import symmetric
from homfem.coefficients import NamedCoefficient
from homfem.electrolytes.gels import FROZEN, Gel, GelTensors
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor

#: How far derived bounds are moved outwards for what rounding can do, relative.
ROUNDED = 1e-13
#: Directions that conduct less than this part of the best conduct nothing.
NOTHING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sides:
    """A matrix with its bounds, if it has both, in the Loewner order or entry by entry."""

    value: Array
    lower: Array | None = None
    upper: Array | None = None

    @classmethod
    def of(cls, tensor: EffectiveTensor) -> Sides:
        """Return value and bounds of a tensor."""
        both = tensor.lower is not None and tensor.upper is not None
        return cls(value=tensor.value, lower=tensor.lower if both else None, upper=tensor.upper if both else None)

    def mapped(self, change: Callable[[Array], Array]) -> Sides:
        """Return what a change that keeps the order makes of all three."""
        given = (self.value, self.lower, self.upper)
        value, lower, upper = (None if entry is None else change(entry) for entry in given)
        assert value is not None
        return Sides(value=value, lower=lower, upper=upper)

    def scaled(self, factor: float) -> Sides:
        """Return a positive multiple."""
        return self.mapped(lambda entry: factor * entry)

    def outwards(self) -> Sides:
        """Return it with the bounds of a positive matrix moved apart for what rounding can do."""
        if self.lower is None or self.upper is None:
            return self
        return replace(self, lower=(1.0 - ROUNDED) * self.lower, upper=(1.0 + ROUNDED) * self.upper)

    def named(self, unit: str, *, order: str = "loewner") -> NamedCoefficient:
        """Return the coefficient of a result; bounds in the Loewner order are symmetric to the last digit."""
        sides = self.mapped(symmetric) if order == "loewner" else self
        return NamedCoefficient(
            value=sides.value, lower=sides.lower, upper=sides.upper, unit=unit, basis="matrix", order=order
        )


def added(parts: Sequence[Sides]) -> Sides:
    """Return the sum."""
    known = [(part.lower, part.upper) for part in parts if part.lower is not None and part.upper is not None]
    value = np.sum([part.value for part in parts], axis=0)
    if len(known) < len(parts):
        return Sides(value=value)
    lower, upper = (np.sum(side, axis=0) for side in zip(*known, strict=True))
    return Sides(value=value, lower=lower, upper=upper)


def transference(own: Sides, rest: Sides) -> Sides:
    r"""Return :math:`A(A+B)^{-1}` with bounds of its entries, see above."""
    total = added([own, rest])
    span = _span(total.value)
    a, b = (part.mapped(lambda entry: span.T @ entry @ span) for part in (own, rest))
    value = np.linalg.solve((a.value + b.value).T, a.value.T).T
    found = Sides(value=span @ value @ span.T)
    if a.lower is None or a.upper is None or b.lower is None or b.upper is None:
        return found
    least = symmetric(a.lower + b.lower)
    if np.linalg.eigvalsh(least)[0] <= 0.0:
        return found
    middle = np.linalg.solve((a.lower + a.upper + b.lower + b.upper).T, (a.lower + a.upper).T).T
    left = np.zeros(len(span))
    for apart, rows in ((a.upper - a.lower, span @ (np.eye(len(middle)) - middle)), (b.upper - b.lower, span @ middle)):
        half = symmetric(0.5 * apart)
        most = np.sqrt(max(float(scipy.linalg.eigh(half, least, eigvals_only=True)[-1]), 0.0))
        left += most * np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", rows, half, rows), 0.0))
    right = np.sqrt(np.maximum(np.diag(span @ np.linalg.inv(least) @ span.T), 0.0))
    centre = span @ middle @ span.T
    size = np.sqrt(np.maximum(np.diag(centre), 0.0))
    width = np.outer(left, right) + ROUNDED * np.outer(size, size)
    return replace(found, lower=centre - width, upper=centre + width)


def over(flux: Sides, total: Sides) -> Sides:
    r"""Return :math:`T\sigma^{-1}` with bounds of its entries, T bounded entry by entry.

    :math:`t-t_0=(dT-t_0\,d\sigma)\,\sigma^{-1}`, and the entries of :math:`\sigma^{-1}` are at most
    :math:`\sqrt{(\sigma_l^{-1})_{kk}(\sigma_l^{-1})_{ll}}`.
    """
    span = _span(total.value)

    def divided(numerator: Array, sigma: Array) -> Array:
        return np.asarray(numerator @ span @ np.linalg.solve(span.T @ sigma @ span, span.T))

    found = Sides(value=divided(flux.value, total.value))
    if flux.lower is None or flux.upper is None or total.lower is None or total.upper is None:
        return found
    least = symmetric(span.T @ total.lower @ span)
    if np.linalg.eigvalsh(least)[0] <= 0.0:
        return found
    centre = divided(0.5 * (flux.lower + flux.upper), 0.5 * (total.lower + total.upper))
    right = np.sqrt(np.maximum(np.diag(span @ np.linalg.inv(least) @ span.T), 0.0))
    half = symmetric(0.5 * span.T @ (total.upper - total.lower) @ span)
    most = np.sqrt(max(float(scipy.linalg.eigh(half, least, eigvals_only=True)[-1]), 0.0))
    rows = centre @ span
    left = 0.5 * (flux.upper - flux.lower) @ right
    left = left + most * np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", rows, half, rows), 0.0))
    width = np.outer(left, right) + ROUNDED * np.abs(centre)
    return replace(found, lower=centre - width, upper=centre + width)


def of_inverse(total: Sides, alpha: float, beta: float) -> Sides:
    r"""Return :math:`\alpha\sigma^{-1}+\beta` with its bounds, on what flows."""
    span = _span(total.value)

    def change(sigma: Array) -> Array:
        return np.asarray(span @ (alpha * np.linalg.inv(span.T @ sigma @ span) + beta * np.eye(span.shape[1])) @ span.T)

    found = Sides(value=change(total.value))
    if total.lower is None or total.upper is None or np.linalg.eigvalsh(span.T @ total.lower @ span)[0] <= 0.0:
        return found
    sides = change(total.lower), change(total.upper)
    upper, lower = sides if alpha >= 0.0 else sides[::-1]  # the inverse turns the order
    rounding = ROUNDED * (float(np.abs(found.value).max()) + abs(beta)) * span @ span.T
    return Sides(value=found.value, lower=lower - rounding, upper=upper + rounding)


def zero_current(valences: Sequence[int], onsager: Sequence[Array]) -> Array:
    r"""Return the matrix N of all ions at zero current, shape (n d, n d), see above.

    On the diagonal :math:`L_i\sigma^{-1}\sum_{k\ne i}z_k^2L_k`, in which no digits cancel.
    """
    d, count = len(onsager[0]), len(onsager)
    weighted = [z**2 * tensor for z, tensor in zip(valences, onsager, strict=True)]
    sigma = np.sum(weighted, axis=0)
    span = _span(sigma)
    inverse = span @ np.linalg.solve(span.T @ sigma @ span, span.T)
    found = np.zeros((count, d, count, d))
    for i in range(count):
        rest = np.sum([other for k, other in enumerate(weighted) if k != i], axis=0)
        found[i, :, i] = symmetric(onsager[i] @ inverse @ rest)
        for j in range(i):
            found[i, :, j] = -valences[i] * valences[j] * (onsager[i] @ inverse @ onsager[j])
            found[j, :, i] = found[i, :, j].T
    return found.reshape(count * d, count * d)


def storage(gel: Gel, tensors: GelTensors, fractions: Mapping[str, float]) -> Array:
    """Return the matrix S of all ions, shape (n, n), see above."""
    total = np.zeros((len(gel.ions), len(gel.ions)))
    for phase, inside in tensors.inside.items():
        c = np.array([inside.concentrations.get(ion.name, 0.0) for ion in gel.ions])
        charge = np.array([ion.valence for ion in gel.ions]) * c
        share = charge / np.sum([ion.valence for ion in gel.ions] * charge)
        total += fractions[phase] * (np.diag(c) - np.outer(share, charge))
    return total


def salt_diffusion(gel: Gel, onsager: Sequence[Sides], stored: Array) -> dict[str, tuple[Sides, str]]:
    r"""Return :math:`D=NS^{-1}` of all ions but the last by name, each with the order of its bounds.

    Of two ions it is one symmetric tensor, ``salt_diffusion``; of more ``salt_diffusion.A.B`` is what a gradient of B
    makes of the flux of A. Nothing where S does not allow it: where no phase has two ions that can change.
    """
    valences, d = [ion.valence for ion in gel.ions], len(onsager[0].value)
    kept = stored[:-1, :-1]
    if np.linalg.eigvalsh(kept)[0] <= NOTHING * np.linalg.eigvalsh(kept)[-1]:
        return {}
    value, lower, upper = (
        None if given is None else zero_current(valences, given)
        for given in (_all([getattr(part, side) for part in onsager]) for side in ("value", "lower", "upper"))
    )
    assert value is not None  # a tensor has one
    if any(part.lower is None or np.linalg.eigvalsh(part.lower)[0] < 0.0 for part in onsager):
        lower = upper = None
    sides = Sides(value=value, lower=lower, upper=upper).outwards()
    if len(valences) == 2:
        return {"salt_diffusion": (sides.mapped(lambda n: n[:d, :d] / kept[0, 0]), "loewner")}
    inverse = np.kron(np.linalg.inv(kept), np.eye(d))
    inner = len(kept) * d
    found = Sides(value=value[:inner, :inner] @ inverse)
    if sides.lower is not None and sides.upper is not None:
        middle, half = 0.5 * (sides.lower + sides.upper), 0.5 * np.diag(sides.upper - sides.lower)[:inner]
        root = np.sqrt(np.maximum(half, 0.0))
        centre = middle[:inner, :inner] @ inverse
        width = np.outer(root, root) @ np.abs(inverse) + ROUNDED * np.abs(middle[:inner, :inner]) @ np.abs(inverse)
        found = replace(found, lower=centre - width, upper=centre + width)
    names = [ion.name for ion in gel.ions[:-1]]
    return {
        f"salt_diffusion.{a}.{b}": (found.mapped(_block(i, j, d)), "entries")
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    }


def frozen_parts(gel: Gel, tensors: GelTensors, whole: bool) -> dict[str, tuple[float, float]] | None:
    r"""Return :math:`\alpha,\beta` with :math:`z_i^2D_ic_i=\alpha+\beta s` in all phases, where that is so.

    Parameters
    ----------
    gel, tensors
        What was solved.
    whole
        Whether all phases of the cell conduct: beside an insulator :math:`\alpha` must be 0.
    """
    total = tensors.coefficients[FROZEN]
    s = np.concatenate([matrix.ravel() for matrix in total.values()])
    one = np.concatenate([np.eye(len(matrix)).ravel() for matrix in total.values()])
    # The rule is sought in the form a t + b, so that it does not depend on units.
    basis = np.stack([one * np.abs(s).max(), s], axis=1) if whole else s[:, None]
    found = {}
    for ion in gel.ions:
        part = tensors.coefficients[ion.name]
        own = np.concatenate([(ion.valence**2 * part.get(p, 0.0 * matrix)).ravel() for p, matrix in total.items()])
        solution, *_ = np.linalg.lstsq(basis, own, rcond=1e-12)
        if np.abs(basis @ solution - own).max() > ROUNDED * np.abs(s).max():
            return None
        alpha = float(solution[0] * np.abs(s).max()) if whole else 0.0
        found[ion.name] = (alpha, float(solution[-1]))
    return found


def _all(parts: Sequence[Array | None]) -> list[Array] | None:
    known = [part for part in parts if part is not None]
    return known if len(known) == len(parts) else None


def _block(i: int, j: int, d: int) -> Callable[[Array], Array]:
    return lambda matrix: matrix[i * d : (i + 1) * d, j * d : (j + 1) * d]


def _span(matrix: Array) -> Array:
    """An orthonormal basis, in columns, of the directions in which something flows."""
    sizes, axes = np.linalg.eigh(symmetric(matrix))
    return np.asarray(axes[:, sizes > NOTHING * max(float(sizes[-1]), 0.0)])
