"""Random laminates with their exact tensors in rational arithmetic, and what the bounds of a solver say of them.

The layers are meshed; a layer may itself be a laminate of any rank, whose exact tensor is the coefficient of the layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import homogenize_elasticity, solve_diffusion
from homfem.brackets import violation
from homfem.cells.unitcell import UnitCell
from homfem.certify.dispersion import GivenFlow, solve_dispersion
from homfem.grid import Image, homogenize_image
from homfem.parameters import HomfemError
from homfem.stiffness import PAIRS, stiffness
from homfem.tensors import EffectiveTensor
from made_cells import grid_raw

NAMES = "abcdefgh"
#: What the exact tensor itself may be off by, relative: its coefficients and the thickness of its layers are rounded.
OWN = 1e-13


def rational(matrix: Any) -> np.ndarray:
    """The exact values of the numbers of an array."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(matrix, dtype=np.float64))


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Gauss and Jordan, exactly; the matrix is positive definite."""
    size = len(matrix)
    work = np.concatenate([matrix.copy(), rational(np.eye(size))], axis=1)
    for k in range(size):
        work[k] = work[k] / work[k, k]
        for i in range(size):
            if i != k:
                work[i] = work[i] - work[i, k] * work[k]
    return work[:, size:]


def layered(
    layers: Sequence[np.ndarray], thickness: Sequence[Fraction], across: np.ndarray, extra: Any = 0
) -> np.ndarray:
    """The exact tensor of layers; ``across`` takes an amplitude to a gradient, ``extra`` is what membranes resist."""
    total = sum(thickness)
    share = [t / total for t in thickness]
    flux = [c @ across for c in layers]
    soft = [inverse(across.T @ f) for f in flux]
    result = sum(f * (c - g @ s @ g.T) for f, c, g, s in zip(share, layers, flux, soft, strict=True))
    mean = sum(f * g @ s for f, g, s in zip(share, flux, soft, strict=True))
    return result + mean @ inverse(sum(f * s for f, s in zip(share, soft, strict=True)) + extra) @ mean.T


def strain_of(normal: int, d: int) -> np.ndarray:
    """The Voigt strain (engineering shear) of an amplitude across layers with the given normal axis."""
    rows = [[int(normal in pair and a in pair and (pair != (normal, normal) or a == normal) and
                 (a != normal or pair == (normal, normal))) for a in range(d)] for pair in PAIRS[d]]  # fmt: skip
    return rational(np.array(rows, dtype=float))


def layered_cell(cuts: np.ndarray, phase: np.ndarray, d: int, axis: int, parts: int, comm: MPI.Comm) -> UnitCell:
    """Layers between the planes ``cuts`` (0 ... 1), two mesh intervals each; ``parts`` intervals along the others."""
    along = np.unique(np.concatenate([cuts, 0.5 * (cuts[1:] + cuts[:-1])]))
    count = len(along) - 1
    divisions = [parts] * d
    divisions[axis] = count

    def where(s: np.ndarray) -> np.ndarray:
        return phase[np.minimum((s[:, axis] * count).astype(int) // 2, len(phase) - 1)]

    raw = grid_raw(divisions, where, names=NAMES)
    points = raw.points.copy()
    points[:, axis] = along[np.rint(points[:, axis] * count).astype(int)]
    raw = replace(raw, points=points)
    return UnitCell.from_raw(lambda: raw, comm=comm, length=1.0, length_unit="um")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One laminate: the physics, what was solved, the exact tensor, and what was asked of it."""

    what: str
    exact: np.ndarray
    tensor: EffectiveTensor | None
    error: str = ""

    @property
    def outside(self) -> float:
        """By how much the exact tensor lies outside of the bounds, relative to each direction; OWN is no fault."""
        if self.tensor is None:
            return 0.0
        wrong = 0.0
        if self.tensor.lower is not None:
            wrong = max(wrong, violation(self.tensor.lower, self.exact))
        if self.tensor.upper is not None:
            wrong = max(wrong, violation(self.exact, self.tensor.upper))
        return wrong

    @property
    def fault(self) -> str:
        """What is wrong with the result, or nothing."""
        found = self.tensor
        if found is None:
            return ""
        if self.outside > OWN:
            return f"the exact tensor is outside by {self.outside:.1e}"
        sides = [side for side in (found.lower, found.upper) if side is not None]
        if (
            len(sides) == 2
            and max(violation(*sides), violation(sides[0], found.value), violation(found.value, sides[1])) > 1e-12
        ):
            return "value and bounds are not in order"
        if len(sides) == 2 and found.reached and not (found.relative_gap or 0.0) < 1.0:
            return "reached with a lower bound that is not positive"
        if not found.reached and not found.warnings:
            return "not reached, without a reason"
        return ""


def random_trial(rng: np.random.Generator, kinds: Sequence[str], comm: MPI.Comm = MPI.COMM_SELF) -> Trial:
    """Draw a laminate and solve it; a solver that gives up is no fault of the bounds."""
    kind = str(rng.choice(list(kinds)))
    d = int(rng.choice([2, 2, 3]))
    axis, count = int(rng.integers(d)), int(rng.integers(2, 4))
    thickness = rng.uniform(0.2, 1.0, count)
    if rng.random() < 0.4:
        thickness[rng.integers(count)] = 1e-3
    cuts = np.concatenate([[0.0], np.cumsum(thickness)]) / thickness.sum()
    cuts[-1] = 1.0
    phase = np.arange(count)
    if rng.random() < 0.5:  # a layer that goes on across the faces
        shift = rng.uniform(0.1, 0.9) * (cuts[1] - cuts[0])
        cuts = np.concatenate([[0.0], cuts[1:] - shift, [1.0]])
        phase = np.append(phase, 0)
    unit = 10.0 ** rng.integers(-9, 10)
    contrast = 10.0 ** rng.uniform(0.0, 4.0 if kind == "elasticity" else 12.0)
    values = unit * contrast ** rng.random(count)
    values[rng.integers(count)] = unit
    thick = [Fraction(b) - Fraction(a) for a, b in itertools.pairwise(cuts.tolist())]
    known = {"elasticity": _elastic, "membranes": _membranes, "grid": _image, "windows": _window}
    solve = (known | {"dispersion": _dispersion}).get(kind, _diffusion)
    what, exact, run = solve(rng, values, thick, cuts, phase, d, axis, comm)
    what = f"{kind} {d}D, axis {axis}, values {values}, cuts {cuts}, {what}"
    exact = np.asarray(exact, dtype=np.float64)
    try:
        return Trial(what=what, exact=exact, tensor=run())
    except HomfemError as error:
        return Trial(what=what, exact=exact, tensor=None, error=f"{type(error).__name__}: {error}")


def _coefficients(rng: np.random.Generator, values: np.ndarray, d: int) -> dict[str, Any]:
    """For each layer a number, or the exact tensor of a laminate of rank one or two inside of it."""
    result: dict[str, Any] = {}
    for name, value in zip(NAMES, values.tolist(), strict=False):
        inner: Any = value
        for _ in range(int(rng.integers(0, 3))):
            parts = [rational(np.eye(d)) * Fraction(value * rng.uniform(0.2, 1.0)), rational(inner * np.eye(d))]
            if np.ndim(inner) == 2:
                parts[1] = rational(inner)
            across = rational(np.eye(d)[:, [int(rng.integers(d))]])
            share = Fraction(rng.uniform(0.1, 0.9))
            inner = np.asarray(layered(parts, [share, 1 - share], across), dtype=np.float64)
        result[name] = inner
    return result


def _matrices(coefficients: dict[str, Any], phase: np.ndarray, d: int) -> list[np.ndarray]:
    each = [np.asarray(value, dtype=np.float64) for value in coefficients.values()]
    return [rational(each[p] if each[p].ndim else each[p] * np.eye(d)) for p in phase]


def _across(d: int, axis: int) -> np.ndarray:
    return rational(np.eye(d)[:, [axis]])


def _diffusion(rng, values, thick, cuts, phase, d, axis, comm):
    coefficients = _coefficients(rng, values, d)
    degree = int(rng.integers(1, 5 if d == 2 else 3))
    options: dict[str, Any] = {
        "degree": degree,
        "lower_degree": int(rng.integers(0, 2)),
        "rtol": 10.0 ** rng.integers(-12, -4),
    }
    exact = layered(_matrices(coefficients, phase, d), thick, _across(d, axis))

    def run():
        cell = layered_cell(cuts, phase, d, axis, 3, comm)
        return solve_diffusion(cell, coefficients, **options).tensor

    return f"{coefficients} {options}", exact, run


def _membranes(rng, values, thick, cuts, phase, d, axis, comm):
    coefficients = dict(zip(NAMES, values.tolist(), strict=False))
    pairs = [tuple(sorted((int(p), int(q)))) for p, q in zip(phase, np.roll(phase, -1), strict=True) if p != q]
    h = {pair: float(values.min() * 10.0 ** rng.uniform(-3.0, 6.0)) for pair in sorted(set(pairs))}
    extra = sum(Fraction(1) / Fraction(h[pair]) for pair in pairs)
    exact = layered(_matrices(coefficients, phase, d), thick, _across(d, axis), rational([[1.0]]) * extra)
    names = {f"{NAMES[p]}|{NAMES[q]}": value for (p, q), value in h.items()}
    degree = int(rng.integers(1, 3))

    def run():
        cell = layered_cell(cuts, phase, d, axis, 3, comm)
        return solve_diffusion(cell, coefficients, membranes=names, degree=degree).tensor

    return f"{names} degree {degree}", exact, run


def _dispersion(rng, values, thick, cuts, phase, d, axis, comm):
    """A flow along the layers that is linear in each that flows: what it adds to the mean along it is known."""
    values = values[0] * np.clip(values / values[0], 1e-3, 1e3)
    along = int(rng.choice([k for k in range(d) if k != axis]))
    peclet = 10.0 ** rng.uniform(-2.0, 3.0) * values.max()
    speeds = peclet * rng.uniform(-1.0, 1.0, len(cuts))
    speeds[-1] = speeds[0]
    coefficients = dict(zip(NAMES, values.tolist(), strict=False))
    degree = int(rng.integers(1, 4 if d == 2 else 3))
    # In some phases the solute only diffuses, and is held more or less than in the fluid.
    flows = rng.random(len(values)) < 0.6
    flows[phase[0]] = True
    shares = np.where(flows, 1.0, np.round(10.0 ** rng.uniform(-1.0, 1.0, len(values)), 3))
    fluid = [NAMES[p] for p in np.flatnonzero(flows)]
    partition = {NAMES[p]: float(shares[p]) for p in np.flatnonzero(~flows)}
    held = [Fraction(shares[p]) for p in phase]
    products = [rational(values[p] * shares[p] * np.eye(d)) for p in phase]
    ends = [(Fraction(a), Fraction(b)) if flows[p] else (Fraction(0), Fraction(0))
            for p, a, b in zip(phase, speeds, speeds[1:], strict=False)]  # fmt: skip
    exact = layered(products, thick, _across(d, axis))
    exact[along, along] += _carried([one[0, 0] for one in products], thick, ends, held)
    exact = exact * sum(thick) / sum(t * c for t, c in zip(thick, held, strict=True))

    def velocity(x):
        found = np.zeros_like(x)
        found[along] = np.interp(x[axis] - np.floor(x[axis]), cuts, speeds)
        return found

    def run():
        cell = layered_cell(cuts, phase, d, axis, 3, comm)
        flow = GivenFlow(velocity=velocity, fluid=fluid)
        return solve_dispersion(
            cell, coefficients, flow=flow, partition=partition, bounds=True, degree=degree
        ).tensor  # fmt: skip

    return f"{coefficients} {partition} speeds {speeds} along {along} degree {degree}", exact, run


def _carried(
    values: Sequence[Fraction],
    thick: Sequence[Fraction],
    speeds: Sequence[tuple[Fraction, Fraction]],
    held: Sequence[Fraction],
) -> Fraction:
    """What a flow along layers adds, exactly: the mean of (F + c)^2 / D, F the integral of the speed less V times what
    is held."""
    total, pieces = sum(thick), list(zip(values, thick, speeds, held, strict=True))
    mean = sum(t * (a + b) / 2 for _, t, (a, b), _ in pieces) / sum(t * h for _, t, _, h in pieces)
    start, moments = Fraction(0), [Fraction(0)] * 3
    for value, t, (a, b), h in pieces:
        # F in the layer, a polynomial of the place in it from 0 to 1.
        poly = [start, t * (a - mean * h), t * (b - a) / 2]
        square = [sum(poly[i] * poly[k - i] for i in range(3) if 0 <= k - i < 3) for k in range(5)]
        for k, one in enumerate(([Fraction(1)], poly, square)):
            moments[k] += t / value * sum(c / (n + 1) for n, c in enumerate(one))
        start = sum(poly)
    resistance, first, second = moments
    return (second - first**2 / resistance) / total


def _elastic(rng, values, thick, cuts, phase, d, axis, comm):
    solids = {
        name: {"young": value, "poisson": float(rng.uniform(0.0, 0.45))}
        for name, value in zip(NAMES, values.tolist(), strict=False)
    }
    matrices = [rational(stiffness(solids[NAMES[p]], d, "layer")) for p in phase]
    degree = int(rng.integers(1, 3))
    exact = layered(matrices, thick, strain_of(axis, d))

    def run():
        return homogenize_elasticity(layered_cell(cuts, phase, d, axis, 3, comm), solids, degree=degree)

    return f"{solids} degree {degree}", exact, run


def _image(rng, values, thick, cuts, phase, d, axis, comm):
    coefficients = _coefficients(rng, values, d)
    labels = rng.integers(0, len(values), 8)
    labels[: len(values)] = np.arange(len(values))
    shape = [3] * d
    shape[axis] = 8
    picture = np.broadcast_to(labels.reshape([8 if a == axis else 1 for a in range(d)]), shape)
    matrices = _matrices(coefficients, labels, d)
    voxel = tuple(float(v) for v in rng.uniform(0.5, 2.0, d))
    rtol = 10.0 ** rng.integers(-10, -2)

    def run():
        image = Image.from_labels(np.ascontiguousarray(picture), {NAMES[k]: k for k in range(len(values))}, voxel=voxel)
        return homogenize_image(image, coefficients, rtol=rtol, threads=1)

    return f"{coefficients} labels {labels} rtol {rtol}", layered(matrices, [Fraction(1)] * 8, _across(d, axis)), run


def _window(rng, values, thick, cuts, phase, d, axis, comm):
    """Layers in a window: the periodic tensor is below affine, is mixed, and uniform flux has its entry across."""
    coefficients = dict(zip(NAMES, values.tolist(), strict=False))
    boundary = str(rng.choice(["affine", "flux", "mixed"]))
    exact = np.asarray(layered(_matrices(coefficients, phase, d), thick, _across(d, axis)), dtype=np.float64)
    degree, rtol = int(rng.integers(1, 3)), 10.0 ** rng.integers(-12, -3)
    if boundary == "flux":
        exact = np.diag([exact[axis, axis] if a == axis else 0.0 for a in range(d)])

    def run():
        found = solve_diffusion(
            layered_cell(cuts, phase, d, axis, 3, comm), coefficients, boundary=boundary, degree=degree, rtol=rtol
        )
        if boundary != "mixed":
            return found.tensor
        # No bound is claimed; each entry of the diagonal is the energy of a field, here exact.
        diagonal = np.diag(np.diag(found.tensor.value))
        return replace(found.tensor, value=diagonal, upper=diagonal * (1.0 + 1e-10))

    return f"{boundary} degree {degree} rtol {rtol}", exact, run
