"""The cell problem of the three crossing pipes in homfem, NGSolve and scikit-fem: geometry in, whole tensor out.

Each function imports its package and returns ``solve(phase, case) -> outcome`` and the version of the package.
With ``case["octant"]`` the octant between the mirror planes at the middle and at the end of each axis is solved: in
homfem by ``symmetry="auto"``, in the others by hand, where the corrector of a load vanishes on the planes across it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

EDGE = 0.1
Case = dict[str, Any]


def pipes_mesh(phase: str, case: Case) -> Any:
    """Return the graded structured mesh of a case as arrays."""
    from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe

    spacing = {name: case[name] for name in ("resolution", "grading", "growth")}
    return structured_three_pipe(EDGE, **spacing, phases=(phase,))


def octant_of(raw: Any) -> tuple[Any, Any]:
    """Return the nodes and cells of the octant beyond the middle of each axis, which no cell crosses."""
    import numpy as np

    cells = raw.cells[(raw.points[raw.cells] > 0.5 - 1e-9).all(axis=(1, 2))]
    used, number = np.unique(cells, return_inverse=True)
    return raw.points[used], number.reshape(cells.shape)


def _homfem() -> tuple[Callable[[str, Case], Case], str]:
    from mpi4py import MPI

    import homfem
    from homfem.certify import solve_diffusion

    def solve(phase: str, case: Case) -> Case:
        spacing = {name: case[name] for name in ("resolution", "grading", "growth")}
        cell = homfem.three_pipe(EDGE, phases=(phase,), mesher="structured", comm=MPI.COMM_SELF, **spacing)
        keys = {"degree": case["degree"], "bounds": case["bounds"], "symmetry": "auto" if case["octant"] else "none"}
        tensor = solve_diffusion(cell, {phase: 1.0}, **keys).tensor
        gap = tensor.relative_gap
        return {
            "value": float(tensor.value[0, 0]),
            "half_gap": None if gap is None else float(gap),
            "upper": float(tensor.upper[0, 0]) if tensor.upper is not None else None,
            "dofs": tensor.dofs,
            "stages": {name: round(s, 7) for name, s in tensor.seconds.items()},
        }

    return solve, homfem.__version__


def _ngsolve() -> tuple[Callable[[str, Case], Case], str]:
    import ngsolve as ng
    from netgen import occ
    from netgen.meshing import IdentificationType

    ng.ngsglobals.msg_level = 0
    ng.SetNumThreads(1)
    low, high = 0.5 - EDGE / 2, 0.5 + EDGE / 2

    def on_interface(x: float) -> bool:
        return min(abs(x - low), abs(x - high)) < 1e-6

    def singular(edge: Any, phase: str) -> bool:
        ends = [[point[k] for k in range(3)] for point in (edge.start, edge.end)]
        along = max(range(3), key=lambda k: abs(ends[0][k] - ends[1][k]))
        across = [ends[0][k] for k in range(3) if k != along]
        short = abs(ends[0][along] - ends[1][along]) < 1.01 * EDGE
        return all(map(on_interface, across)) and short == (phase == "er")

    def geometry(phase: str, case: Case) -> Any:
        corners = [[[side if k == axis else wall for k in range(3)] for side, wall in ((0.0, low), (1.0, high))]
                   for axis in range(3)]  # fmt: skip
        pipes = [occ.Box(tuple(first), tuple(last)) for first, last in corners]
        shape = pipes[0] + pipes[1] + pipes[2]
        if phase == "cytosol":
            shape = occ.Box((0, 0, 0), (1, 1, 1)) - shape
        if case["octant"]:
            shape = shape * occ.Box((0.5, 0.5, 0.5), (1, 1, 1))
            for face in shape.faces:
                for axis in range(3):
                    if min(abs(face.center[axis] - side) for side in (0.5, 1.0)) < 1e-6:
                        face.name = f"mirror{axis}"
        for axis in range(0 if case["octant"] else 3):
            faces = [next(f for f in shape.faces if abs(f.center[axis] - side) < 1e-6) for side in (0.0, 1.0)]
            shift = occ.gp_Trsf.Translation(occ.gp_Vec(*(float(k == axis) for k in range(3))))
            faces[0].Identify(faces[1], f"period{axis}", IdentificationType.PERIODIC, shift)
        for edge in shape.edges:
            if singular(edge, phase):
                if case["edge_size"]:
                    edge.maxh = case["edge_size"]
                if case["hp"]:
                    edge.hpref = 1
        if case["hp"]:
            for vertex in shape.vertices:
                if all(on_interface(vertex.p[k]) for k in range(3)):
                    vertex.hpref = 1
        return occ.OCCGeometry(shape)

    def solve(phase: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        spacing = {"maxh": case["size"], "grading": case["grading"]}
        mesh = ng.Mesh(geometry(phase, case).GenerateMesh(**spacing, parallel_meshing=False, nthreads=1))
        if case["hp"]:
            mesh.RefineHP(case["hp"])
        lap.append(time.perf_counter())
        order = case["order"]
        space = ng.H1(mesh, order=order)
        space = space if case["octant"] else ng.Periodic(space)
        u, v = space.TnT()
        condense = order > 1
        form = ng.BilinearForm(space, symmetric=True, condense=condense)
        # The constants are fixed by a mass of 1e-9: its part in the tensor is below 1e-9.
        form += ng.grad(u) * ng.grad(v) * ng.dx + 1e-9 * u * v * ng.dx
        direct = case["octant"] or space.ndof < (30_000 if phase == "er" else 3_000)
        preconditioner = None if direct else ng.Preconditioner(form, "bddc")
        form.Assemble()
        loads = [ng.LinearForm(-ng.grad(v)[k] * ng.dx).Assemble() for k in range(3)]
        lap.append(time.perf_counter())

        def factors(axis: int) -> Any:
            free = space.FreeDofs(coupling=condense)
            if case["octant"]:
                free = free & ~space.GetDofs(mesh.Boundaries(f"mirror{axis}"))
            return form.mat.Inverse(free, inverse="sparsecholesky")

        if not direct:
            inverse = ng.krylovspace.CGSolver(form.mat, preconditioner.mat, tol=1e-7, maxiter=1000)
        volume = ng.Integrate(ng.CF(1.0), mesh)
        tensor = [[0.0] * 3 for _ in range(3)]
        for j, load in enumerate(loads):
            corrector = ng.GridFunction(space)
            if direct and (j == 0 or case["octant"]):
                inverse = factors(j)
            side = load.vec.CreateVector()
            side.data = load.vec
            if condense:
                side.data += form.harmonic_extension_trans * side
            corrector.vec.data = inverse * side
            if condense:
                corrector.vec.data += form.harmonic_extension * corrector.vec
                corrector.vec.data += form.inner_solve * side
            for i in (j,) if case["octant"] else range(3):
                tensor[i][j] = volume * (i == j) - ng.InnerProduct(loads[i].vec, corrector.vec)
                tensor[i][j] *= 8 if case["octant"] else 1
        lap.append(time.perf_counter())
        names = ("geometry and mesh", "assembly", "solve")
        stages = {name: round(b - a, 7) for name, a, b in zip(names, lap[:-1], lap[1:], strict=True)}
        return {"value": tensor[0][0], "dofs": space.ndof, "stages": stages}

    return solve, ng.__version__


def _scikit_fem() -> tuple[Callable[[str, Case], Case], str]:
    import numpy as np
    import scipy.sparse as sparse
    import scipy.sparse.linalg as linalg
    import skfem
    from skfem.helpers import dot, grad

    @skfem.BilinearForm
    def stiffness(u: Any, v: Any, w: Any) -> Any:
        return dot(grad(u), grad(v))

    @skfem.LinearForm
    def gradients(v: Any, w: Any) -> Any:
        return -grad(v)[w["axis"]]

    def identified(points: Any) -> Any:
        """Unknowns on the high faces become those one period below: numbers of the independent unknowns."""
        key = np.round(np.mod(points + 1e-9, 1.0) * 1e7).astype(np.int64)
        return np.unique(key, axis=1, return_inverse=True)[1].ravel()

    def reduced_solver(matrix: Any) -> Callable[[Any], Any]:
        if matrix.shape[0] < 5_000:
            options = {"permc_spec": "MMD_AT_PLUS_A", "options": {"SymmetricMode": True}, "diag_pivot_thresh": 0.0}
            return linalg.splu(matrix, **options).solve
        options = {"rtol": 1e-6, "maxiter": 5000, "M": sparse.diags_array(1.0 / matrix.diagonal())}

        def iterate(side: Any) -> Any:
            found, status = linalg.cg(matrix, side, **options)
            if status:
                raise RuntimeError(f"scikit-fem: conjugate gradients ended with status {status}")
            return found

        return iterate

    def solve(phase: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        raw = pipes_mesh(phase, case)
        points, cells = octant_of(raw) if case["octant"] else (raw.points, raw.cells)
        mesh = skfem.MeshTet(np.ascontiguousarray(points.T), np.ascontiguousarray(cells.T))
        lap.append(time.perf_counter())
        element = skfem.ElementTetP1() if case["degree"] == 1 else skfem.ElementTetP2()
        basis = skfem.Basis(mesh, element, intorder=max(1, 2 * case["degree"] - 2))
        number = np.arange(basis.N) if case["octant"] else identified(basis.doflocs)
        count = int(number.max()) + 1
        periodic = sparse.csr_array((np.ones(basis.N), (np.arange(basis.N), number)), shape=(basis.N, count))
        matrix = (periodic.T @ stiffness.assemble(basis) @ periodic).tocsc()
        loads = [periodic.T @ gradients.assemble(basis, axis=axis) for axis in range(3)]
        volume = float(basis.dx.sum())
        lap.append(time.perf_counter())
        correctors = np.zeros((3, count))
        for axis in range(3):
            # Not on mirror planes across the load; one unknown fixes the constant of a periodic one.
            place = basis.doflocs[axis]
            held = np.minimum(abs(place - 0.5), abs(place - 1.0)) < 1e-9
            inner = np.flatnonzero(~held) if case["octant"] else np.arange(1, count)
            if axis == 0 or case["octant"]:
                solve_reduced = reduced_solver(matrix[inner][:, inner].tocsc())
            correctors[axis, inner] = solve_reduced(loads[axis][inner])
        tensor = volume * np.eye(3) - correctors @ np.array(loads).T
        if case["octant"]:
            tensor = 8.0 * np.diag(np.diag(tensor))
        lap.append(time.perf_counter())
        names = ("mesh", "assembly", "solve")
        stages = {name: round(b - a, 7) for name, a, b in zip(names, lap[:-1], lap[1:], strict=True)}
        return {"value": float(tensor[0, 0]), "dofs": count, "stages": stages}

    return solve, skfem.__version__


SOLVERS = {"homfem": _homfem, "ngsolve": _ngsolve, "scikit-fem": _scikit_fem}
