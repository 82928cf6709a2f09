"""The domains of macroscale models from the tables ``[macro.domain]`` and ``[macro.fibres]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config.models.domains import (
    SIDES,
    CellBody,
    DomainTable,
    FibresTable,
    FileDomain,
    IdealHeart,
    SizedDomain,
)
from homfem.parameters import Array, FileError, InputError, VariableError
from homfem.runs.keys import keys_under
from homfem.runs.runners import runner

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.macro.domain import Domain
    from homfem.macro.fibres import FibreFrame


def make_domain(table: DomainTable, comm: MPI.Comm, folder: Path, unit: str = "um") -> Domain:
    """Return the domain of a table, coordinates in ``unit``; files are sought from ``folder``. Collective."""
    domain: Domain = runner(table.runner)(table, comm, folder, unit)
    return domain


def box(table: SizedDomain, comm: MPI.Comm, folder: Path, unit: str) -> Domain:
    """Return an interval, a rectangle or a box; collective."""
    from homfem.bodies import box_mesh
    from homfem.macro.domain import Domain
    from homfem.meshing.shapes.box_grid import require_boxes

    sides, step = table.sides(unit), table.resolution.to(unit)
    boxes = math.prod(max(1.0, side / step) for side in sides)
    require_boxes("resolution", str(table.resolution), boxes, max(2, len(sides)))
    counts = [max(1, math.ceil(side / step - 1e-9)) for side in sides]
    domain = Domain(mesh=box_mesh(comm, sides, counts), unit=unit)
    ends = [(k, end) for k, side in enumerate(sides) for end in (0.0, side)]
    names = [name for pair in SIDES[len(sides)] for name in pair]
    return _with_regions(domain, table).with_boundaries(
        {name: _end(k, end, sides[k]) for name, (k, end) in zip(names, ends, strict=True)}
    )


def _end(axis: int, end: float, side: float) -> Callable[[Array], Any]:
    """Return what tells the points at an end of an axis."""
    return lambda x: np.abs(x[axis] - end) < 1e-9 * side


def cell_body(table: CellBody, comm: MPI.Comm, folder: Path, unit: str) -> Domain:
    """Return an ellipse or an ellipsoid; collective."""
    from homfem.bodies import mesh_from_arrays
    from homfem.macro.domain import Domain
    from homfem.meshing.arrays.budget import require_filled

    sides, step = table.sides(unit), table.resolution.to(unit)
    share = math.pi / (4.0 if len(sides) == 2 else 6.0)
    require_filled("resolution", str(table.resolution), sides, step, share)
    domain = Domain(mesh=mesh_from_arrays(comm, lambda: _ellipsoid(sides, step)), unit=unit)
    return _with_regions(domain, table).with_boundaries({"surface": lambda x: np.full(x.shape[1], True)})


def _with_regions(domain: Domain, table: SizedDomain) -> Domain:
    """Return the domain with the regions of its table; collective."""
    d = domain.dimension
    places = {name: entry.place(domain.unit) for name, entry in table.regions.items()}
    inside = {name: lambda x, place=place: place.inside(x[:d].T) for name, place in places.items()}
    return domain.with_regions(inside) if inside else domain


def _ellipsoid(sides: Sequence[float], step: float) -> tuple[np.ndarray, np.ndarray]:
    from homfem.bodies import gmsh_arrays
    from homfem.meshing.by_gmsh.session import gmsh_session

    d, radii = len(sides), [0.5 * side for side in sides]
    with gmsh_session(Mesh_MeshSizeMin=step, Mesh_MeshSizeMax=step) as gmsh:
        occ = gmsh.model.occ
        body = occ.addDisk(0, 0, 0, 1, 1) if d == 2 else occ.addSphere(0, 0, 0, 1)
        occ.dilate([(d, body)], 0, 0, 0, *radii, *([1.0] * (3 - d)))
        occ.synchronize()
        gmsh.model.mesh.generate(d)
        return gmsh_arrays(d)


def ventricles(table: IdealHeart, comm: MPI.Comm, folder: Path, unit: str) -> Domain:
    """Return an ideal ventricle or both; collective."""
    from homfem.macro.domain_makers import ventricle_domain

    return ventricle_domain(comm, table.ideal(unit), resolution=table.resolution.to(unit), unit=unit)


def from_file(table: FileDomain, comm: MPI.Comm, folder: Path, unit: str) -> Domain:
    """Return the domain of a mesh or a geometry; collective."""
    from homfem.macro.domain_makers import read_domain

    try:
        return read_domain(
            comm,
            folder / table.file,
            unit=table.coordinates,
            to=unit,
            regions=table.regions,
            boundaries=table.boundaries,
            resolution=None if table.resolution is None else table.resolution.to(table.coordinates),
            parameters=table.parameters,
            trust=table.trust,
        )
    except InputError as error:
        if error.name.split(".")[0] in type(table).model_fields or isinstance(error, VariableError):
            raise
        allowed = f"{error.allowed} ({error.shown})"
        raise FileError("file", table.file, allowed, error.remedy) from error


def layered(domain: Domain, table: DomainTable) -> Domain:
    """Return the domain with the layers of its wall as regions, if its table has any; collective."""
    from homfem.macro.layers import with_layers

    if table.layers is None:
        return domain
    given = table.layers
    with keys_under("", {key: f"layers.{key}" for key in ("parts", "inner", "outer", "within")}):
        return with_layers(domain, given.parts, inner=given.inner, outer=given.outer, within=given.within)


def with_fibres(domain: Domain, table: FibresTable, folder: Path) -> Domain:
    """Return the domain with the fibres of a table; collective."""
    from homfem.macro.fibre_files import fibres_of_file
    from homfem.macro.fibres import FibreFrame

    if table.rule is not None:
        return domain.with_fibres(_of_rule(domain, table))
    if table.file is None:
        return domain.with_fibres(FibreFrame.constant(domain.mesh, table.direction, table.sheet))
    try:
        return domain.with_fibres(fibres_of_file(domain.mesh, folder / table.file, table.name, table.sheet_name))
    except InputError as error:
        if error.name in ("name", "sheet_name") or isinstance(error, (FileError, VariableError)):
            raise
        allowed = f"a file whose {error.name} is {error.allowed} ({error.shown})"
        raise FileError("file", table.file, allowed, error.remedy) from error


def _of_rule(domain: Domain, table: FibresTable) -> FibreFrame:
    """Return the axes by a rule; collective."""
    from homfem.macro.fibre_rules import RuleAngles, ellipsoid_fibres, ldrb_fibres

    keys = ("alpha_endo", "alpha_epi", "beta_endo", "beta_epi", "profile")
    given = {key: getattr(table, key) for key in keys if getattr(table, key) is not None}
    if table.rule == "ellipsoid":
        return ellipsoid_fibres(domain, **given)
    apex = None if table.apex is None else [entry.to(domain.unit) for entry in table.apex]
    return ldrb_fibres(domain, angles=RuleAngles(**given), apex=apex, tissue=table.tissue)
