"""Dispersion in a square array of round fibres in homfem, NGSolve and scikit-fem: geometry in, tensors out.

Each function imports its package and returns ``solve(phase, case) -> outcome`` and the version of the package. A phase
names the Peclet numbers, :data:`PECLET`. The value is (D_L, D_T) of each of them, over the fluid, with the flow along
the first axis. Both loads are solved. One mesh and one flow serve all Peclet numbers of a phase.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

Case = dict[str, Any]
Solver = Callable[[str, Case], Case]

FRACTION = 0.3
RADIUS = math.sqrt(FRACTION / math.pi)
#: Thirty numbers from .1 to 1000 and the two whose dispersion is known.
SWEEP = (*(10.0 ** (-1.0 + 4.0 * k / 29.0) for k in range(30)), 10.0, 100.0)
PECLET = {"Pe 10": (10.0,), "Pe 100": (100.0,), "32 numbers": SWEEP}


def _stages(names: tuple[str, ...], lap: list[float]) -> dict[str, float]:
    return {name: round(b - a, 7) for name, a, b in zip(names, lap[:-1], lap[1:], strict=True)}


def _homfem() -> tuple[Solver, str]:
    from mpi4py import MPI

    import homfem
    from homfem.cells import fibre_array
    from homfem.certify.dispersion import solve_dispersion

    def solve(phase: str, case: Case) -> Case:
        spacing = {name: case[name] for name in ("resolution", "refinement")}
        cell = fibre_array(fraction=FRACTION, order=2, comm=MPI.COMM_SELF, **spacing)
        found = solve_dispersion(cell, {"matrix": 1.0}, peclet=PECLET[phase], degree=case["degree"])
        value = [float(one.value[k, k]) for one in found.series for k in range(2)]
        stages = {name: round(s, 7) for name, s in found.tensor.seconds.items()}
        return {"value": value, "dofs": found.tensor.dofs, "stages": stages}

    return solve, homfem.__version__


def _ngsolve() -> tuple[Solver, str]:
    import ngsolve as ng
    from netgen import occ
    from netgen.meshing import IdentificationType

    ng.ngsglobals.msg_level = 0
    ng.SetNumThreads(1)

    def curved_mesh(case: Case) -> Any:
        fluid = occ.Rectangle(1, 1).Face() - occ.Circle((0.5, 0.5), RADIUS).Face()
        for axis in range(2):
            sides = [next(e for e in fluid.edges if abs(e.center[axis] - s) < 1e-6) for s in (0.0, 1.0)]
            shift = occ.gp_Trsf.Translation(occ.gp_Vec(*(float(k == axis) for k in range(3))))
            sides[0].Identify(sides[1], f"period{axis}", IdentificationType.PERIODIC, shift)
        for edge in fluid.edges:
            edge.name = "wall" if abs(edge.center[0] - 0.5) + abs(edge.center[1] - 0.5) < 0.49 else "outer"
        mesh = ng.Mesh(occ.OCCGeometry(fluid, dim=2).GenerateMesh(maxh=case["size"]))
        return mesh.Curve(case["order"])

    def solved(form: Any, space: Any, load: Any, inverse: Any) -> Any:
        """Solve with the unknowns inside the elements condensed."""
        found, side = ng.GridFunction(space), load.vec.CreateVector()
        side.data = load.vec
        side.data += form.harmonic_extension_trans * side
        found.vec.data = inverse * side
        found.vec.data += form.harmonic_extension * found.vec
        found.vec.data += form.inner_solve * side
        return found

    def flow(mesh: Any, order: int) -> Any:
        """The velocity of Taylor and Hood's element for a unit force along the first axis."""
        velocity = ng.Periodic(ng.VectorH1(mesh, order=order, dirichlet="wall"))
        space = velocity * ng.Periodic(ng.H1(mesh, order=order - 1))
        (u, p), (v, q) = space.TnT()
        form = ng.BilinearForm(space, symmetric=True, condense=True)
        # The constant pressure is fixed by a mass of 1e-9.
        form += (ng.InnerProduct(ng.Grad(u), ng.Grad(v)) - p * ng.div(v) - q * ng.div(u) - 1e-9 * p * q) * ng.dx
        form.Assemble()
        load = ng.LinearForm(v[0] * ng.dx).Assemble()
        inverse = form.mat.Inverse(space.FreeDofs(coupling=True), inverse="sparsecholesky")
        return solved(form, space, load, inverse).components[0]

    def solve(phase: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        mesh = curved_mesh(case)
        lap.append(time.perf_counter())
        velocity = flow(mesh, case["order"])
        volume, moved = ng.Integrate(ng.CF(1.0), mesh), ng.Integrate(velocity, mesh)
        scale = volume / math.hypot(*moved)
        lap.append(time.perf_counter())
        space = ng.Periodic(ng.H1(mesh, order=case["order"]))
        u, v = space.TnT()
        value = []
        for number in PECLET[phase]:
            b, mean = number * scale * velocity, [number * scale * part / volume for part in moved]
            # Skew, so that no energy is lost; the constants are fixed by a mass of 1e-9.
            along = 0.5 * (b * ng.grad(u) * v - b * ng.grad(v) * u)
            form = ng.BilinearForm(space, condense=True)
            form += (ng.grad(u) * ng.grad(v) + along + 1e-9 * u * v) * ng.dx
            form.Assemble()
            inverse = form.mat.Inverse(space.FreeDofs(coupling=True), inverse="umfpack")
            for k in range(2):
                drift = (b[k] - mean[k]) * v
                load, there = (ng.LinearForm((sign * ng.grad(v)[k] - drift) * ng.dx).Assemble() for sign in (-1, 1))
                value.append(1.0 + ng.InnerProduct(there.vec, solved(form, space, load, inverse).vec) / volume)
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
    from homfem.meshing.cut.sections import section_of
    from homfem.parameters import Lattice

    elements = {
        2: (skfem.ElementTriP2, skfem.ElementTriP1),
        3: (skfem.ElementTriP3, skfem.ElementTriP2),
        4: (skfem.ElementTriP4, skfem.ElementTriP3),
    }

    def curved_mesh(case: Case) -> Any:
        """The triangles of homfem, their sides at the wall curved by quadratic maps."""
        box = Lattice.box(1.0, 1.0)
        circle = section_of("round").level_set(box, [[0.5, 0.5]], RADIUS)
        raw = implicit_raw(
            [circle], ["fibre", "matrix"], lattice=box, resolution=case["resolution"], refinement=0, conserve=False
        )
        cells = raw.cells[raw.phase_of_cell == raw.phases["matrix"]]
        used, number = np.unique(cells, return_inverse=True)
        points = np.ascontiguousarray(raw.points[used].T)
        straight = skfem.MeshTri(points, np.ascontiguousarray(number.reshape(cells.shape).T))
        curved = skfem.MeshTri2.from_mesh(straight)
        places = curved.doflocs.copy()
        wall = straight.facets_satisfying(lambda x: np.hypot(*(x - 0.5)) < 0.49, boundaries_only=True)
        at = points.shape[1] + wall
        away = places[:, at] - 0.5
        places[:, at] = 0.5 + away * RADIUS / np.hypot(*away)
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
        force = skfem.LinearForm(lambda v, w: v[0]).assemble(basis)
        side = np.concatenate([(ties[0].T @ force)[free], np.zeros(b.shape[0])])
        inner = np.zeros(ties[0].shape[1])
        inner[free] = linalg.splu(matrix).solve(side)[: len(free)]
        return basis, basis.interpolate(ties[0] @ inner)

    def solve(phase: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        mesh, wall = curved_mesh(case)
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
        for number in PECLET[phase]:
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
