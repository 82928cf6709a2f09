r"""Calcium buffers: what binds calcium and gives it back, in the cytosol and in the endoplasmic reticulum (ER).

A buffer of the total concentration B has bound the concentration b of calcium,

.. math:: \partial_t b = \nabla\cdot(D_b\nabla b) + k_+\,c\,(B - b) - k_-\,b,\qquad
    \partial_t c = \nabla\cdot(D\nabla c) - k_+\,c\,(B - b) + k_-\,b + \dots

Free and bound buffer diffuse alike, so that B, once uniform, stays uniform: only b is a field. The volume fraction and
the effective tensors of a tissue stand before these terms as before those of calcium (eqs 3.12 to 3.15).

**A step at a point** (:func:`binding_step`) keeps :math:`T=c+\sum_i\rho_ib_i`, with the volumes :math:`\rho_i` in which
the buffers are over that of calcium, to round-off. With one buffer it is exact: :math:`\dot c=-k_+(c-c_+)(c-c_-)` with
the roots of :math:`c^2+(\rho B+K-T)c-KT`. With several, and the calcium x at its end, backward Euler of the length k
gives

.. math:: b_i(x) = \frac{b_i + k\,k_{+,i}B_i\,x}{1 + k\,(k_{+,i}x + k_{-,i})},\qquad x + \sum_i\rho_i b_i(x) = T .

The left side increases and is concave, so Newton's method finds its one root from any start, and
:math:`x\ge0`, :math:`0\le b_i(x)\le B_i` hold for any k: no rate is too stiff. Two half steps less a whole one,
:math:`2u_{k/2}-u_k`, are of second order, linear in the states and so conserve as well; where they leave the range of
concentrations, the two half steps are taken as they are.

**Rapid buffers** (k to infinity) are in equilibrium, :math:`b=Bc/(K+c)`, :math:`K=k_-/k_+`, which makes

.. math:: \Bigl(1+\sum_i\kappa_i\Bigr)\partial_tc = \nabla\cdot\Bigl(\bigl(D+\sum_i\kappa_iD_i\bigr)\nabla c\Bigr)
    = \bigl(D+\sum_i\kappa_iD_i\bigr)\Delta c - 2\sum_i\frac{\kappa_iD_i}{K_i+c}|\nabla c|^2,\qquad
    \kappa_i=\frac{B_iK_i}{(K_i+c)^2} .

Units: concentrations in uM, ``k_on`` in 1/(uM s), ``k_off`` in 1/s, diffusivities in um^2/s.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, section 3; Wagner, Keizer 1994, Biophys. J. 67,
447, doi 10.1016/S0006-3495(94)80500-4 (rapid buffers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homfem.parameters import Array, ConvergenceError, InputError, check_choice, check_number

#: Where a buffer can be.
BUFFERED_PHASES = ("cytosol", "er")
#: Where no step leads on.
LOST = "calcium and buffers: a concentration is negative or not finite, no step leads on. Take a smaller step."
_MOST = 60  # iterations of Newton's method; some 5 are usual
#: Nodes whose arrays stay in the processor's cache.
_BLOCK = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Buffer:
    r"""What binds calcium in one phase.

    Parameters
    ----------
    name : str
        Its name, that of the field of bound calcium.
    total : float
        B, free and bound, per volume of the phase, uM, > 0.
    k_on : float
        :math:`k_+`, 1/(uM s), > 0.
    k_off : float
        :math:`k_-`, 1/s, > 0.
    diffusivity : float
        Of free and of bound buffer, um^2/s, >= 0; 0: immobile.
    phase : str
        ``"cytosol"`` or ``"er"``.
    rapid : bool
        Always in equilibrium with calcium; of the rates only their ratio counts.

    Raises
    ------
    InputError
        For a number out of range, an unknown phase, a name that is empty.

    Example
    -------
    >>> egta = Buffer(name="EGTA", total=40.0, k_on=5.0, k_off=0.75, diffusivity=200.0)
    >>> round(egta.dissociation, 9), round(float(egta.bound(0.1)), 9)
    (0.15, 16.0)
    """

    name: str
    total: float
    k_on: float
    k_off: float
    diffusivity: float = 0.0
    phase: str = "cytosol"
    rapid: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError("name", self.name, "a name that is not empty")
        for key in ("total", "k_on", "k_off"):
            object.__setattr__(self, key, check_number(key, getattr(self, key), above=0.0))
        object.__setattr__(self, "diffusivity", check_number("diffusivity", self.diffusivity, at_least=0.0))
        check_choice("phase", self.phase, BUFFERED_PHASES)
        if not isinstance(self.rapid, bool):
            raise InputError("rapid", self.rapid, "True or False")

    @property
    def dissociation(self) -> float:
        """K, uM: calcium at which half of the buffer is bound."""
        return self.k_off / self.k_on

    def bound(self, calcium: float | Array) -> Array:
        """Return the bound concentration in equilibrium with calcium, B c / (K + c), uM."""
        c = np.asarray(calcium, dtype=np.float64)
        return np.asarray(self.total * c / (self.dissociation + c))

    def capacity(self, calcium: float | Array) -> Array:
        r"""Return :math:`\kappa=BK/(K+c)^2`: what it binds more per calcium more, in equilibrium."""
        c = np.asarray(calcium, dtype=np.float64)
        return np.asarray(self.total * self.dissociation / (self.dissociation + c) ** 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class RapidBuffering:
    r"""The coefficients of calcium with rapid buffers at some concentrations (module docstring); arrays of its shape.

    Parameters
    ----------
    capacity : array
        :math:`1+\sum\kappa_i`.
    transport : array
        :math:`D+\sum\kappa_iD_i`, um^2/s.
    gradient : array
        :math:`2\sum\kappa_iD_i/(K_i+c)`, um^2/(s uM): the factor of :math:`-|\nabla c|^2`.
    """

    capacity: Array
    transport: Array
    gradient: Array

    @property
    def diffusivity(self) -> Array:
        """The effective diffusivity, transport over capacity, um^2/s."""
        return np.asarray(self.transport / self.capacity)


def rapid_buffering(buffers: Sequence[Buffer], calcium: float | Array, diffusivity: float) -> RapidBuffering:
    r"""Return capacity, transport and the nonlinear term of calcium with rapid buffers in its phase.

    Parameters
    ----------
    buffers
        Those of one phase; their rates count by their ratio alone.
    calcium
        c, uM, >= 0.
    diffusivity
        D of free calcium, um^2/s; those of the buffers are their own.

    Raises
    ------
    InputError
        If the buffers are of two phases.

    Example
    -------
    >>> dye = Buffer(name="dye", total=50.0, k_on=100.0, k_off=50.0, diffusivity=20.0)
    >>> found = rapid_buffering([dye], 0.5, 220.0)
    >>> float(found.capacity), float(found.transport), round(float(found.diffusivity), 3)
    (26.0, 720.0, 27.692)
    """
    _of_one_phase(buffers)
    c = np.asarray(calcium, dtype=np.float64)
    kappa = [buffer.capacity(c) for buffer in buffers]
    moved = [k * buffer.diffusivity for k, buffer in zip(kappa, buffers, strict=True)]
    steep = [2.0 * m / (buffer.dissociation + c) for m, buffer in zip(moved, buffers, strict=True)]
    zero = np.zeros_like(c)
    return RapidBuffering(
        capacity=np.asarray(1.0 + sum(kappa, zero)),
        transport=np.asarray(diffusivity + sum(moved, zero)),
        gradient=np.asarray(sum(steep, zero)),
    )


def check_bound(buffer: Buffer, bound: Array, *, name: str) -> None:
    """Refuse bound calcium at the start that is negative or more than there is of the buffer."""
    least, most = float(bound.min(initial=0.0)), float(bound.max(initial=0.0))
    if not np.isfinite(bound).all() or least < 0.0:
        raise InputError(name, least, "finite, and >= 0 uM everywhere")
    if most > buffer.total:
        allowed = f"at most its total, {buffer.total:g} uM"
        raise InputError(name, most, allowed, f"More calcium is bound at the start than there is of {buffer.name}.")


def binding_step(
    calcium: Array,
    bound: Sequence[Array],
    buffers: Sequence[Buffer],
    step: float,
    *,
    shares: Sequence[float | Array] | None = None,
    order: int = 2,
) -> None:
    r"""Advance calcium and what is bound by a step, in place.

    Parameters
    ----------
    calcium
        c at the points, uM, shape (n,).
    bound
        b of each buffer, uM, each of shape (n,); those of rapid buffers are put in equilibrium.
    buffers
        The buffers of one phase.
    step
        k, s, >= 0; of length 0 rapid buffers alone react.
    shares
        :math:`\rho_i`, numbers or arrays of shape (n,): the volume in which a buffer is over that of calcium; 1.
    order
        1 (backward Euler) or 2 (extrapolated), with several buffers.

    Raises
    ------
    ConvergenceError
        If concentrations are so negative, or not finite, that the step has no solution.

    Example
    -------
    >>> c, b = np.array([1.0]), np.array([0.0])
    >>> dye = Buffer(name="dye", total=50.0, k_on=100.0, k_off=50.0)
    >>> for _ in range(20):
    ...     binding_step(c, [b], [dye], 1e-3)
    >>> float(c[0] + b[0]), bool(np.allclose(b, dye.bound(c)))
    (1.0, True)
    """
    _of_one_phase(buffers)
    rho: list[float | Array] = [1.0] * len(buffers) if shares is None else list(shares)
    for first in range(0, len(calcium), _BLOCK):
        part = slice(first, first + _BLOCK)
        state = [calcium[part], *(values[part] for values in bound)]
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told
            _advance(state, buffers, step, [r[part] if isinstance(r, np.ndarray) else r for r in rho], order)


def _advance(
    state: list[Array], buffers: Sequence[Buffer], step: float, rho: Sequence[float | Array], order: int
) -> None:
    rapid = [buffer.rapid for buffer in buffers]
    if len(buffers) == 1:
        new = _exact(state, buffers[0], step, rho[0])
    elif order == 1 or all(rapid):
        new = _implicit(state, buffers, step, rho)
    else:
        coarse = _implicit(state, buffers, step, rho)
        fine = _implicit(_implicit(state, buffers, 0.5 * step, rho), buffers, 0.5 * step, rho)
        new = [2.0 * one - other for one, other in zip(fine, coarse, strict=True)]
        outside = new[0] < np.minimum(state[0], 0.0)
        for values, old, buffer in zip(new[1:], state[1:], buffers, strict=True):
            outside |= (values < np.minimum(old, 0.0)) | (values > np.maximum(old, buffer.total))
        new = [np.where(outside, one, other) for one, other in zip(fine, new, strict=True)]
        if any(rapid):
            new = _implicit(new, buffers, 0.0, rho)
    for values, found in zip(state, new, strict=True):
        values[:] = found


def _exact(state: list[Array], buffer: Buffer, step: float, rho: float | Array) -> list[Array]:
    """Return the state after a step with one buffer."""
    c, b = state
    total = c + rho * b
    middle = rho * buffer.total + buffer.dissociation - total
    product = buffer.dissociation * total
    apart = np.sqrt(middle * middle + 4.0 * product)
    # The root is the difference of two numbers that may be close: of each sign the form that is none.
    larger = np.abs(middle) + apart
    upper = np.where(middle > 0.0, 2.0 * product / larger, 0.5 * larger)
    if buffer.rapid:
        new = upper
    else:
        kept = (c - upper) * np.exp(-step * buffer.k_on * apart)
        new = upper + kept * apart / (c - upper + apart - kept)
    if not np.isfinite(new).all():
        raise ConvergenceError(LOST)
    return [new, b + (c - new) / rho]


def _implicit(state: list[Array], buffers: Sequence[Buffer], step: float, rho: Sequence[float | Array]) -> list[Array]:
    """Return the state after a step of backward Euler; of length 0 rapid buffers alone react."""
    c, bound = state[0], state[1:]
    # b(x) = (kept + over x)/(one + under x)
    terms = []
    total = c.copy()
    for b, buffer, r in zip(bound, buffers, rho, strict=True):
        total += r * b
        k, kept, one = (1.0, 0.0, 0.0) if buffer.rapid else (step, b, 1.0)
        terms.append((r, kept, k * buffer.k_on * buffer.total, one + k * buffer.k_off, k * buffer.k_on))
    least = np.minimum(c, 0.0)
    x = np.maximum(c, 0.0)
    for _ in range(_MOST):
        value, slope = x - total, np.ones_like(x)
        for r, kept, over, one, under in terms:
            below = one + under * x
            there = (kept + over * x) / below
            value += r * there
            slope += r * (over - under * there) / below
        new = np.maximum(x - value / slope, least)
        moved = np.abs(new - x) > 1e-14 * np.abs(new) + 1e-300
        x = new
        # Beside large totals the residual is round-off before x settles.
        if not np.any(moved & (np.abs(value) > 1e-15 * np.abs(total))):
            break
    else:
        x = np.full_like(x, np.nan)
    if not np.isfinite(x).all():
        raise ConvergenceError(LOST)
    found = [(kept + over * x) / (one + under * x) for _, kept, over, one, under in terms]
    calcium = c.copy()
    for r, old, new in zip(rho, bound, found, strict=True):
        calcium += r * (old - new)
    return [calcium, *found]


def _of_one_phase(buffers: Sequence[Buffer]) -> None:
    phases = sorted({buffer.phase for buffer in buffers})
    if len(phases) > 1:
        raise InputError("buffers", phases, "of one phase")
