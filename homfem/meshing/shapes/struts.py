r"""Lattices of straight struts, such as scaffolds and metamaterials: cubic, body-centred cubic, octet truss.

The axes of the struts are whole lines through the points of a lattice: along the axes of the cubic cell, along its
four diagonals, or along the six diagonals of its faces. At each point as many struts cross.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import LevelSet, balls
from homfem.meshing.cut.mirror_parts import MIRRORS
from homfem.meshing.shapes.painted import Painting, painted_plan, pipe_boxes
from homfem.meshing.shapes.plan import BoxMesh, CellPlan, SurfaceMesh
from homfem.parameters import Array, CellError, InputError, Lattice, check_choice, check_integer, check_number

log = logging.getLogger("homfem")


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    r"""Struts of radius r in the unit cube: volume :math:`\pi\ell r^2-c\,r^3`, lines in several directions.

    Parameters
    ----------
    length
        Length of all struts in the cell.
    joints
        The constant c: what is counted more than once at the crossings.
    reach
        The radius at which struts touch that do not cross.
    directions
        Signed permutations that carry one direction of the lines to the others.
    plane : array, shape (2, 3)
        Unit vectors normal to that one direction.
    sides, centres
        Rectangular period of the points in which its lines meet the plane, and two such points or one.
    """

    length: float
    joints: float
    reach: float
    directions: Sequence[Array]
    plane: Array
    sides: tuple[float, float]
    centres: Sequence[tuple[float, float]]


_TURNS = [np.roll(np.eye(3), k, axis=1) for k in range(3)]
_KINDS = {
    "cubic": _Kind(3.0, 8.0 * math.sqrt(2.0), 0.5, _TURNS, np.eye(3)[1:], (1.0, 1.0), [(0.0, 0.0)]),
    "body-centred": _Kind(
        4.0 * math.sqrt(3.0),
        16.0 * math.sqrt(6.0),
        math.sqrt(2.0) / 4.0,
        [np.diag([1.0, s, t]) for s in (1.0, -1.0) for t in (1.0, -1.0)],
        np.array([[2.0, -1.0, -1.0], [0.0, 1.0, -1.0]]) / np.sqrt([[6.0], [2.0]]),
        (math.sqrt(2.0 / 3.0), math.sqrt(2.0)),
        [(0.0, 0.0), (math.sqrt(1.0 / 6.0), math.sqrt(0.5))],
    ),
    "octet": _Kind(
        12.0 * math.sqrt(2.0),
        64.0 * (1.0 + math.sqrt(2.0)),
        1.0 / math.sqrt(24.0),
        [turn @ np.diag([1.0, s, 1.0]) for turn in _TURNS for s in (1.0, -1.0)],
        np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]) / np.sqrt([[2.0], [1.0]]),
        (math.sqrt(0.5), 1.0),
        [(0.0, 0.0), (math.sqrt(0.125), 0.5)],
    ),
}
KINDS = tuple(_KINDS)
SECTIONS = ("round", "square")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Struts:
    """Lattice of struts, as the parameters of :func:`homfem.cells.struts` say."""

    kind: str
    thickness: float | None
    fraction: float | None
    section: str
    fillet: float
    mesh: SurfaceMesh


def struts_plan(given: Struts) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    check_choice("kind", given.kind, KINDS)
    check_choice("section", given.section, SECTIONS)
    check_choice("mirrors", given.mesh.mirrors, MIRRORS)
    period = check_number("period", given.mesh.period, above=0.0, remedy="A period is a length.")
    check_integer("order", given.mesh.order, at_least=1, at_most=1)
    halvings = check_integer("refinement", given.mesh.refinement or 0, at_least=0, at_most=12)
    resolution = check_number("resolution", given.mesh.resolution, above=0.0, at_most=1 / 3)
    rho = check_number("fillet", given.fillet, at_least=0.0)
    if given.section == "square" and rho > 0.0:
        raise InputError("fillet", given.fillet, "0 for square struts", 'Choose section = "round".')
    if given.section == "round" and given.kind != "cubic" and rho == 0.0:
        raise InputError(
            "fillet", given.fillet, f"> 0 for {given.kind} struts", "Half of the radius of the struts is a good one."
        )
    if (given.thickness is None) == (given.fraction is None):
        raise InputError("thickness", given.thickness, "given, or the fraction instead, and not both")
    if given.fraction is not None:
        if rho > 0.0:
            raise InputError(
                "fraction", given.fraction, "not given with fillets", "Give the thickness; the mesh is measured."
            )
        thick = strut_thickness(given.kind, given.fraction, given.section)
    else:
        thick = _check_thickness(given.kind, given.thickness, given.section)
    reach = _KINDS[given.kind].reach
    if rho > 0.0 and 0.5 * thick + rho >= reach:
        raise InputError(
            "fillet", given.fillet, f"< {reach - 0.5 * thick:.6g}", "It would fill the windows between the struts."
        )

    name = f"{given.kind}-struts"
    if given.section == "square":
        ends = [([0.5] * k + [0.0] + [0.5] * (2 - k), [0.5] * k + [1.0] + [0.5] * (2 - k)) for k in range(3)]
        boxes = [box for pair in ends for box in pipe_boxes(pair, thick, "strut")]
        return painted_plan(
            Painting(
                boxes=boxes,
                background="pore",
                name=name,
                mesh=BoxMesh(resolution=resolution, period=[period] * 3, length_unit=given.mesh.length_unit),
            )
        )
    return CellPlan(
        make=lambda: _round_raw(given.kind, 0.5 * thick, rho, replace(given.mesh, refinement=halvings)),
        name=name,
        length=period,
        length_unit=given.mesh.length_unit,
    )


def strut_fraction(kind: str, thickness: float, section: str = "round") -> float:
    r"""Return the volume fraction of struts with sharp joints.

    .. math::
        \text{square, edge t:}\quad & 3t^2-2t^3\\
        \text{cubic:}\quad & 3\pi r^2-8\sqrt2\,r^3\\
        \text{body-centred:}\quad & 4\sqrt3\,\pi r^2-16\sqrt6\,r^3\\
        \text{octet:}\quad & 12\sqrt2\,\pi r^2-64(1+\sqrt2)\,r^3

    for round struts of radius r = ``thickness``/2 in a cubic cell of edge 1.

    Parameters
    ----------
    kind, thickness, section
        As in :func:`homfem.cells.struts`.

    Notes
    -----
    Around a crossing the point of direction u belongs to the strut with the nearest axis. Two struts at the angle
    :math:`\alpha` meet in the plane that halves it, which cuts the one off at the height
    :math:`r\cot(\alpha/2)\cos\varphi`, :math:`\varphi` around its axis. The piece cut off each strut has the volume
    :math:`\frac{r^3}3\int\max_j\cot(\alpha_j/2)\cos(\varphi-\varphi_j)\,d\varphi`, whose sum over the struts of a
    crossing is :math:`8\sqrt2\,r^3` for three, :math:`8\sqrt6\,r^3` for four and :math:`16(1+\sqrt2)\,r^3` for six.
    """
    check_choice("kind", kind, KINDS)
    check_choice("section", section, SECTIONS)
    return _fraction(kind, _check_thickness(kind, thickness, section), section)


def strut_thickness(kind: str, fraction: float, section: str = "round") -> float:
    """Return the thickness at which struts with sharp joints have the volume fraction: inverse of strut_fraction."""
    check_choice("kind", kind, KINDS)
    check_choice("section", section, SECTIONS)
    most = _largest(kind, section)
    value = check_number("fraction", fraction, above=0.0, below=_fraction(kind, most, section),
                         remedy="Thicker struts touch each other.")  # fmt: skip
    import scipy.optimize

    root = scipy.optimize.brentq(lambda t: _fraction(kind, t, section) - value, 0.0, most, xtol=1e-15, rtol=1e-14)
    return float(root)


def _largest(kind: str, section: str) -> float:
    """Thickness at which struts touch that do not cross."""
    if section == "square" and kind != "cubic":
        raise InputError("section", section, f"'round' for {kind} struts", "Square struts are cubic.")
    return 2.0 * _KINDS[kind].reach


def _check_thickness(kind: str, thickness: float | None, section: str) -> float:
    below = _largest(kind, section)
    return check_number("thickness", thickness, above=0.0, below=below, remedy="Thicker struts touch each other.")


def _fraction(kind: str, thick: float, section: str) -> float:
    if section == "square":
        return thick**2 * (3.0 - 2.0 * thick)
    r = 0.5 * thick
    return r**2 * (math.pi * _KINDS[kind].length - _KINDS[kind].joints * r)


def _round_raw(kind: str, radius: float, rho: float, mesh: SurfaceMesh) -> RawCell:
    lattice = Lattice.box(1.0, 1.0, 1.0)
    distances = _distances(kind, radius)
    options: dict[str, Any] = {
        "lattice": lattice,
        "resolution": mesh.resolution,
        "refinement": mesh.refinement,
        "length_unit": mesh.length_unit,
    }
    if rho > 0.0:
        return implicit_raw(_filleted(distances, rho), ["strut", "pore"], mirrors=mesh.mirrors, **options)
    if mesh.mirrors == "auto":
        # Struts without fillets meet in mirror planes, where the nodes stay: one function is enough.
        try:
            fractions = {"strut": _fraction(kind, 2.0 * radius, "round")}
            function = _filleted(distances, rho)
            return implicit_raw(function, ["strut", "pore"], fractions=fractions, mirrors=["x", "y", "z"], **options)
        except CellError as error:
            log.info("the whole period is meshed: %s", error)
    # Three cylinders, each without those before it: two have the volume 16/3 r^3 in common, three 8 (2 - sqrt 2) r^3.
    whole, two, three = math.pi * radius**2, 16.0 / 3.0 * radius**3, 8.0 * (2.0 - math.sqrt(2.0)) * radius**3
    names = [f"strut{k}" for k in range(len(distances))]
    exact = dict(zip(names, (whole, whole - two, whole - 2.0 * two + three), strict=True))
    raw = implicit_raw(distances, [*names, "pore"], fractions=exact, **options)
    return _as_one(raw, names)


def _distances(kind: str, radius: float) -> list[LevelSet]:
    """Signed distance to the struts of each direction, for points in units of the period."""
    lines = _KINDS[kind]
    discs = balls(Lattice.box(*lines.sides), lines.centres, radius)

    def along(direction: Array) -> LevelSet:
        across = direction @ lines.plane.T
        return lambda points: discs(points @ across)

    return [along(direction) for direction in lines.directions]


def _filleted(distances: Sequence[LevelSet], rho: float) -> LevelSet:
    def union(points: Array) -> Array:
        d = np.stack([np.asarray(distance(points)) for distance in distances])
        return np.asarray(np.maximum(rho, d.min(axis=0)) - np.linalg.norm(np.maximum(rho - d, 0.0), axis=0))

    return union


def _as_one(raw: RawCell, names: Sequence[str]) -> RawCell:
    """The phases of these names as one, ``strut``, and only the facets on its surface."""
    tags = [raw.phases[name] for name in names]
    outer = [raw.facet_names[f"{name}|pore"] for name in names if f"{name}|pore" in raw.facet_names]
    kept = np.isin(raw.facet_tags, outer)
    return replace(
        raw,
        phase_of_cell=np.where(np.isin(raw.phase_of_cell, tags), 1, 2).astype(np.int32),
        phases={"strut": 1, "pore": 2},
        facets=raw.facets[kept],
        facet_tags=np.ones(int(kept.sum()), dtype=np.int32),
        facet_names={"strut|pore": 1},
        slivers=None if raw.slivers is None else raw.slivers[kept],
    )
