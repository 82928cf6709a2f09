"""Dispersion around fibres and spheres in homfem, NGSolve and scikit-fem: geometry in, tensors out.

Each function imports its package and returns ``solve(case of MEDIA, settings) -> outcome`` and the version of the
package. The value is the diagonal of D* over the fluid for each Peclet number, in their order, with the flow along the
first axis. All loads are solved. One mesh and one flow serve all Peclet numbers of a case.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from transport_cells import MEDIA, Medium

Case = dict[str, Any]
Solver = Callable[[str, Case], Case]


def _stages(names: tuple[str, ...], lap: list[float]) -> dict[str, float]:
    return {name: round(b - a, 7) for name, a, b in zip(names, lap[:-1], lap[1:], strict=True)}


def particles(medium: Medium) -> Any:
    """Return the balls as a random medium of homfem."""
    import numpy as np

    from homfem.random_media import ParticleMedium, Sphere

    d, count = medium.dimension, len(medium.centres)
    return ParticleMedium(
        particle=Sphere(medium.radius),
        period=(1.0,) * d,
        centres=medium.centres,
        frames=np.tile(np.eye(d), (count, 1, 1)),
        scales=np.ones(count),
        overlap=False,
        expected_fraction=medium.fraction,
        seed=1,
    )


def _homfem() -> tuple[Solver, str]:
    from mpi4py import MPI

    import homfem
    from homfem.cells import fibre_array, medium_cell, sphere_array
    from homfem.certify.dispersion import solve_dispersion

    def cell_of(medium: Medium, case: Case) -> Any:
        given = {"order": case["geometry"], "resolution": case["resolution"] / medium.n, "comm": MPI.COMM_SELF}
        if medium.n > 1:
            return medium_cell(particles(medium), phases=("fibre", "matrix"), **given)
        make = fibre_array if medium.dimension == 2 else sphere_array
        return make(fraction=medium.fraction, refinement=0, **given)

    def solve(name: str, case: Case) -> Case:
        medium, lap = MEDIA[name], [time.perf_counter()]
        cell = cell_of(medium, case)
        lap.append(time.perf_counter())
        found = solve_dispersion(cell, {"matrix": 1.0}, peclet=medium.numbers, degree=case["degree"])
        flow = found.tensor.seconds["flow"]
        lap += [lap[-1] + flow, time.perf_counter()]
        value = [float(one.value[k, k]) for one in found.series for k in range(medium.dimension)]
        stages = _stages(("geometry and mesh", "flow", "dispersion"), lap)
        return {"value": value, "dofs": found.tensor.dofs, "stages": stages}

    return solve, homfem.__version__


def _ngsolve() -> tuple[Solver, str]:
    import ngsolve as ng
    import numpy as np
    from netgen import occ
    from netgen.meshing import IdentificationType

    ng.ngsglobals.msg_level = 0
    ng.SetNumThreads(1)

    def curved_mesh(medium: Medium, case: Case) -> Any:
        plane = medium.dimension == 2
        fluid = occ.Rectangle(1, 1).Face() if plane else occ.Box((0, 0, 0), (1, 1, 1))
        for centre in medium.centres:
            at, radius = tuple(map(float, centre)), medium.radius
            fluid = fluid - (occ.Circle(at, radius).Face() if plane else occ.Sphere(at, radius))
        parts = fluid.edges if plane else fluid.faces
        for part in parts:
            part.name = "wall"
        for axis in range(medium.dimension):
            sides = [next(e for e in parts if abs(e.center[axis] - s) < 1e-6) for s in (0.0, 1.0)]
            for side in sides:
                side.name = "outer"
            shift = occ.gp_Trsf.Translation(occ.gp_Vec(*(float(k == axis) for k in range(3))))
            sides[0].Identify(sides[1], f"period{axis}", IdentificationType.PERIODIC, shift)
        options = {} if plane else {"parallel_meshing": False}
        geometry = occ.OCCGeometry(fluid, dim=medium.dimension)
        return ng.Mesh(geometry.GenerateMesh(maxh=case["size"] / medium.n, **options)).Curve(case["order"])

    def solved(form: Any, inverse: Any, side: Any) -> Any:
        """Solve with the unknowns inside the elements condensed; the side is lost."""
        found = side.CreateVector()
        side.data += form.harmonic_extension_trans * side
        found.data = inverse * side
        found.data += form.harmonic_extension * found
        found.data += form.inner_solve * side
        return found

    def flow(mesh: Any, order: int) -> Any:
        """The velocity of Taylor and Hood's element, of a mean along the first axis."""
        velocity = ng.Periodic(ng.VectorH1(mesh, order=order, dirichlet="wall"))
        space = velocity * ng.Periodic(ng.H1(mesh, order=order - 1))
        (u, p), (v, q) = space.TnT()
        form = ng.BilinearForm(space, symmetric=True, condense=True)
        # The constant pressure is fixed by a mass of 1e-9.
        form += (ng.InnerProduct(ng.Grad(u), ng.Grad(v)) - p * ng.div(v) - q * ng.div(u) - 1e-9 * p * q) * ng.dx
        form.Assemble()
        inverse = form.mat.Inverse(space.FreeDofs(coupling=True), inverse="sparsecholesky")
        loads = [ng.LinearForm(v[k] * ng.dx).Assemble().vec for k in range(mesh.dim)]
        found = []
        for load in loads:
            found.append(ng.GridFunction(space))
            found[-1].vec.data = solved(form, inverse, load.Copy())
        means = [[ng.InnerProduct(load, one.vec) for one in found] for load in loads]
        force = np.linalg.solve(means, np.eye(mesh.dim)[0])
        whole = ng.GridFunction(space)
        whole.vec[:] = 0.0
        for pull, one in zip(force, found, strict=True):
            whole.vec.data += float(pull) * one.vec
        return whole.components[0]

    def solve(name: str, case: Case) -> Case:
        medium, lap = MEDIA[name], [time.perf_counter()]
        mesh, d = curved_mesh(medium, case), medium.dimension
        lap.append(time.perf_counter())
        velocity = flow(mesh, case["order"])
        lap.append(time.perf_counter())
        space = ng.Periodic(ng.H1(mesh, order=case["order"]))
        u, v = space.TnT()
        # The constants, and integrals by the points of the forms: the default of Integrate is of order 5.
        one = ng.GridFunction(space)
        one.vec[:] = 0.0
        one.vec.FV().NumPy()[: mesh.nv] = 1.0
        held = ng.LinearForm(v * ng.dx).Assemble().vec
        volume = ng.InnerProduct(held, one.vec)
        slopes = [ng.LinearForm(ng.grad(v)[k] * ng.dx).Assemble().vec for k in range(d)]
        drifts = [ng.LinearForm(velocity[k] * v * ng.dx).Assemble().vec for k in range(d)]
        scale = volume / ng.InnerProduct(drifts[0], one.vec)
        for drift in drifts:
            drift.data = scale * drift
            drift.data -= ng.InnerProduct(drift, one.vec) / volume * held
        value = []
        for number in medium.numbers:
            b = number * scale * velocity
            # Skew, so that no energy is lost; the constants are fixed by a mass of 1e-9.
            along = 0.5 * (b * ng.grad(u) * v - b * ng.grad(v) * u)
            form = ng.BilinearForm(space, condense=True)
            form += (ng.grad(u) * ng.grad(v) + along + 1e-9 * u * v) * ng.dx
            form.Assemble()
            inverse = form.mat.Inverse(space.FreeDofs(coupling=True), inverse="umfpack")
            side = held.CreateVector()
            for slope, drift in zip(slopes, drifts, strict=True):
                side.data = -1.0 * slope - number * drift
                found = solved(form, inverse, side)
                side.data = slope - number * drift
                value.append(1.0 + ng.InnerProduct(side, found) / volume)
        lap.append(time.perf_counter())
        stages = _stages(("geometry and mesh", "flow", "dispersion"), lap)
        return {"value": value, "dofs": space.ndof, "stages": stages}

    return solve, ng.__version__


def _scikit_fem() -> tuple[Solver, str]:
    import numpy as np
    import scipy.sparse as sparse
    import scipy.sparse.linalg as linalg
    import skfem
    from skfem.helpers import ddot, div, dot, grad

    from homfem.meshing.cut.implicit import implicit_raw
    from homfem.parameters import Lattice

    elements = {
        2: (skfem.ElementTriP2, skfem.ElementTriP1),
        3: (skfem.ElementTriP3, skfem.ElementTriP2),
        4: (skfem.ElementTriP4, skfem.ElementTriP3),
    }

    def curved_mesh(medium: Medium, case: Case) -> Any:
        """The triangles of homfem, their sides at the walls curved by quadratic maps."""
        balls = particles(medium)
        feature = balls.feature_size()
        raw = implicit_raw(
            [balls.level_set()],
            ["fibre", "matrix"],
            lattice=Lattice.box(1.0, 1.0),
            resolution=case["resolution"] / medium.n,
            refinement=0,
            size=None if medium.n == 1 else lambda points: 0.7 * feature(points),
            conserve=False,
        )
        cells = raw.cells[raw.phase_of_cell == raw.phases["matrix"]]
        used, number = np.unique(cells, return_inverse=True)
        points = np.ascontiguousarray(raw.points[used].T)
        straight = skfem.MeshTri(points, np.ascontiguousarray(number.reshape(cells.shape).T))
        curved = skfem.MeshTri2.from_mesh(straight)
        places = curved.doflocs.copy()
        wall = straight.facets_satisfying(lambda x: (np.abs(x - 0.5) < 0.5 - 1e-9).all(axis=0), boundaries_only=True)
        at = points.shape[1] + wall
        centres = medium.centres.T
        nearest = np.hypot(*(places[:, at, None] - centres[:, None])).argmin(axis=1)
        away = places[:, at] - centres[:, nearest]
        places[:, at] = centres[:, nearest] + away * medium.radius / np.hypot(*away)
        return skfem.MeshTri2(places, curved.t), wall

    def identified(basis: Any) -> Any:
        """The matrix from the independent unknowns to all: those of opposite sides are one, of each component."""
        places = np.round(np.mod(basis.doflocs + 1e-9, 1.0) * 1e7).astype(np.int64)
        key = np.vstack([places, kinds(basis)])
        number = np.unique(key, axis=1, return_inverse=True)[1].ravel()
        return sparse.csr_array((np.ones(basis.N), (np.arange(basis.N), number)))

    def kinds(basis: Any) -> Any:
        """Which component an unknown is of: of several in one place, as many as on each entity there are."""
        found = np.zeros(basis.N, dtype=np.int64)
        width = len(basis.elem.elems) if hasattr(basis.elem, "elems") else getattr(basis.elem, "dim", 1)
        if isinstance(basis.elem, skfem.ElementVector):
            for dofs in (basis.nodal_dofs, basis.facet_dofs, basis.interior_dofs):
                if dofs is not None and len(dofs):
                    found[dofs] = (np.arange(len(dofs)) % width)[:, None]
        return found

    @skfem.BilinearForm
    def viscous(u: Any, v: Any, w: Any) -> Any:
        return ddot(grad(u), grad(v))

    @skfem.BilinearForm
    def divergence(u: Any, q: Any, w: Any) -> Any:
        return -div(u) * q

    @skfem.BilinearForm
    def diffusion(u: Any, v: Any, w: Any) -> Any:
        return dot(grad(u), grad(v))

    @skfem.BilinearForm
    def convection(u: Any, v: Any, w: Any) -> Any:
        return 0.5 * (dot(w["velocity"], grad(u)) * v - dot(w["velocity"], grad(v)) * u)

    @skfem.LinearForm
    def gradients(v: Any, w: Any) -> Any:
        return grad(v)[w["axis"]]

    @skfem.LinearForm
    def drift(v: Any, w: Any) -> Any:
        return (w["velocity"][w["axis"]] - w["mean"][w["axis"]]) * v

    def flow(mesh: Any, wall: Any, degree: int) -> tuple[Any, Any]:
        high, low = elements[degree]
        basis = skfem.Basis(mesh, skfem.ElementVector(high()), intorder=2 * degree)
        pressure = basis.with_element(low())
        ties = [identified(one) for one in (basis, pressure)]
        fixed = np.unique(basis.get_dofs(facets=wall).flatten())
        free = np.setdiff1d(np.unique(ties[0].indices), ties[0][fixed].indices)
        a = (ties[0].T @ viscous.assemble(basis) @ ties[0]).tocsr()[free][:, free]
        b = (ties[1].T @ divergence.assemble(basis, pressure) @ ties[0]).tocsr()[:, free]
        b = b[1:]  # one unknown of the pressure fixes its constant
        matrix = sparse.block_array([[a, b.T], [b, None]], format="csc")
        forces = [ties[0].T @ skfem.LinearForm(lambda v, w, k=k: v[k]).assemble(basis) for k in range(2)]
        inner, inverse = np.zeros((2, ties[0].shape[1])), linalg.splu(matrix)
        for k, force in enumerate(forces):
            inner[k, free] = inverse.solve(np.concatenate([force[free], np.zeros(b.shape[0])]))[: len(free)]
        pull = np.linalg.solve(np.array(forces) @ inner.T, [1.0, 0.0])
        return basis, basis.interpolate(ties[0] @ (pull @ inner))

    def solve(name: str, case: Case) -> Case:
        medium, lap = MEDIA[name], [time.perf_counter()]
        mesh, wall = curved_mesh(medium, case)
        lap.append(time.perf_counter())
        degree = case["degree"]
        basis, velocity = flow(mesh, wall, degree)
        weights = basis.dx
        moved = np.array([float((velocity.value[k] * weights).sum()) for k in range(2)])
        volume = float(weights.sum())
        scale = volume / float(np.hypot(*moved))
        lap.append(time.perf_counter())
        scalar = basis.with_element(elements[degree][0]())
        tie = identified(scalar)
        carried = {"velocity": scale * velocity.value, "mean": scale * moved / volume}
        still = tie.T @ diffusion.assemble(scalar) @ tie
        along = tie.T @ convection.assemble(scalar, velocity=carried["velocity"]) @ tie
        slopes = [tie.T @ gradients.assemble(scalar, axis=k) for k in range(2)]
        drifts = [tie.T @ sum_drift(scalar, carried, k) for k in range(2)]
        value = []
        for number in medium.numbers:
            # One unknown fixes the constants.
            inverse = linalg.splu((still + number * along)[1:, 1:].tocsc())
            for k in range(2):
                found = inverse.solve((-slopes[k] - number * drifts[k])[1:])
                value.append(1.0 + float((slopes[k] - number * drifts[k])[1:] @ found) / volume)
        lap.append(time.perf_counter())
        stages = _stages(("geometry and mesh", "flow", "dispersion"), lap)
        return {"value": value, "dofs": tie.shape[1], "stages": stages}

    def sum_drift(scalar: Any, carried: Case, axis: int) -> Any:
        velocity = carried["velocity"]
        mean = np.broadcast_to(carried["mean"][:, None, None], velocity.shape)
        return drift.assemble(scalar, velocity=velocity, mean=mean, axis=axis)

    return solve, skfem.__version__


SOLVERS = {"homfem": _homfem, "ngsolve": _ngsolve, "scikit-fem": _scikit_fem}
