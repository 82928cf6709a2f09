"""Elasticity and Stokes flow in a square array of round fibres in homfem, NGSolve and SfePy: geometry in, tensor out.

Each function imports its package and returns ``solve(cell, case) -> outcome`` and the version of the package. The value
is (C11, C12, C66) for ``"elasticity"`` (plane strain, matrix E = 1, fibre E = 10, both nu = 0.3) and (k,) for
``"stokes"``. All loads are solved: three strains, two forces.
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
SOLIDS = {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}}


def moduli(young: float, poisson: float) -> list[list[float]]:
    """Return the stiffness in plane strain as a Voigt matrix."""
    scale = young / ((1 + poisson) * (1 - 2 * poisson))
    return [
        [scale * (1 - poisson), scale * poisson, 0.0],
        [scale * poisson, scale * (1 - poisson), 0.0],
        [0.0, 0.0, 0.5 * young / (1 + poisson)],
    ]


def array_mesh(resolution: float) -> Any:
    """Return the mesh of ``fibre_array(fraction=0.3, refinement=0)`` as arrays, with straight sides."""
    from homfem.meshing.cut.implicit import implicit_raw
    from homfem.meshing.cut.sections import section_of
    from homfem.parameters import Lattice

    box = Lattice.box(1.0, 1.0)
    circle = section_of("round").level_set(box, [[0.5, 0.5]], RADIUS)
    fractions = {"fibre": FRACTION}
    return implicit_raw([circle], ["fibre", "matrix"], lattice=box, resolution=resolution, fractions=fractions)


def _stages(names: tuple[str, ...], lap: list[float]) -> dict[str, float]:
    return {name: round(b - a, 7) for name, a, b in zip(names, lap[:-1], lap[1:], strict=True)}


def _homfem() -> tuple[Solver, str]:
    import numpy as np
    import scipy.linalg
    from mpi4py import MPI

    import homfem
    from homfem.cells import fibre_array
    from homfem.certify import solve_stokes
    from homfem.local.elasticity import elastic_coefficient, elasticity_problem
    from homfem.local.engine import solve_correctors
    from homfem.local.stress import solve_stresses

    def cell_of(case: Case) -> Any:
        spacing = {name: case[name] for name in ("resolution", "refinement")}
        return fibre_array(fraction=FRACTION, **spacing, order=case["geometry"], comm=MPI.COMM_SELF)

    def elasticity(case: Case) -> Case:
        lap = [time.perf_counter()]
        cell = cell_of(case)
        lap.append(time.perf_counter())
        coefficient = elastic_coefficient(cell, SOLIDS)
        problem = elasticity_problem(cell, coefficient, degree=case["degree"])
        solver = {"preconditioner": "direct"} if case["direct"] else {"rtol": 1e-6}
        upper = solve_correctors(cell, problem, **solver)
        stages = dict(upper.seconds)
        value, gap, dofs = np.asarray(upper.average), None, upper.dofs
        if case["bounds"]:
            stresses = solve_stresses(cell, coefficient)
            lower = stresses.average - stresses.allowance * np.eye(3)
            gap = float(np.abs(scipy.linalg.eigh(value - lower, value + lower, eigvals_only=True)).max())
            value, dofs = 0.5 * (value + lower), max(dofs, stresses.dofs)
            stages |= {f"stress {name}": s for name, s in stresses.seconds.items()}
        stages["geometry and mesh"] = lap[1] - lap[0]
        return {
            "value": [float(value[i, j]) for i, j in ((0, 0), (0, 1), (2, 2))],
            "half_gap": gap,
            "dofs": dofs,
            "stages": {name: round(s, 7) for name, s in stages.items()},
        }

    def stokes(case: Case) -> Case:
        options = {"bounds": True} if case["bounds"] else {"degree": case["degree"]}
        tensor = solve_stokes(cell_of(case), "matrix", **options).tensor
        value = 0.5 * (tensor.lower + tensor.upper) if case["bounds"] else tensor.value
        gap = tensor.relative_gap
        return {
            "value": [float(value[0, 0])],
            "half_gap": None if gap is None else float(gap),
            "dofs": tensor.dofs,
            "stages": {name: round(s, 7) for name, s in tensor.seconds.items()},
        }

    return lambda cell, case: {"elasticity": elasticity, "stokes": stokes}[cell](case), homfem.__version__


def _ngsolve() -> tuple[Solver, str]:
    import ngsolve as ng
    from netgen import occ
    from netgen.meshing import IdentificationType

    ng.ngsglobals.msg_level = 0
    ng.SetNumThreads(1)

    def curved_mesh(cell: str, case: Case) -> Any:
        square, disc = occ.Rectangle(1, 1).Face(), occ.Circle((0.5, 0.5), RADIUS).Face()
        matrix = square - disc
        matrix.faces.name = "matrix"
        disc.faces.name = "fibre"
        for axis in range(2):
            sides = [next(e for e in matrix.edges if abs(e.center[axis] - s) < 1e-6) for s in (0.0, 1.0)]
            shift = occ.gp_Trsf.Translation(occ.gp_Vec(*(float(k == axis) for k in range(3))))
            sides[0].Identify(sides[1], f"period{axis}", IdentificationType.PERIODIC, shift)
        for edge in matrix.edges:
            edge.name = "wall" if abs(edge.center[0] - 0.5) + abs(edge.center[1] - 0.5) < 0.49 else "outer"
        shape = matrix if cell == "stokes" else occ.Glue([matrix, disc])
        mesh = ng.Mesh(occ.OCCGeometry(shape, dim=2).GenerateMesh(maxh=case["size"]))
        return mesh.Curve(case["order"])

    def strain(u: Any) -> Any:
        g = ng.Grad(u)
        return ng.CF((g[0, 0], g[1, 1], g[0, 1] + g[1, 0]))

    def solved(form: Any, space: Any, loads: list[Any], inverse: Any, condense: bool) -> list[Any]:
        correctors = []
        for load in loads:
            corrector, side = ng.GridFunction(space), load.vec.CreateVector()
            side.data = load.vec
            if condense:
                side.data += form.harmonic_extension_trans * side
            corrector.vec.data = inverse * side
            if condense:
                corrector.vec.data += form.harmonic_extension * corrector.vec
                corrector.vec.data += form.inner_solve * side
            correctors.append(corrector)
        return correctors

    def solve(cell: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        mesh = curved_mesh(cell, case)
        lap.append(time.perf_counter())
        order = case["order"]
        if cell == "elasticity":
            space = ng.Periodic(ng.VectorH1(mesh, order=order))
            u, v = space.TnT()
            table = {
                name: ng.CF(tuple(entry for row in moduli(**solid) for entry in row)) for name, solid in SOLIDS.items()
            }
            modulus = ng.CF([table[name] for name in mesh.GetMaterials()]).Reshape((3, 3))
            # The translations are fixed by a mass of 1e-9.
            terms = ng.InnerProduct(modulus * strain(u), strain(v)) * ng.dx + 1e-9 * u * v * ng.dx
            sides = [-ng.InnerProduct(modulus * ng.CF(tuple(float(j == k) for j in range(3))), strain(v)) * ng.dx
                     for k in range(3)]  # fmt: skip
        else:
            velocity = ng.Periodic(ng.VectorH1(mesh, order=order, dirichlet="wall"))
            pressure = ng.Periodic(ng.H1(mesh, order=order - 1))
            space = velocity * pressure
            (u, p), (v, q) = space.TnT()
            # The constant pressure is fixed by a mass of 1e-9.
            terms = (ng.InnerProduct(ng.Grad(u), ng.Grad(v)) - p * ng.div(v) - q * ng.div(u) - 1e-9 * p * q) * ng.dx
            sides = [v[k] * ng.dx for k in range(2)]
        condense = order > 1
        form = ng.BilinearForm(space, symmetric=True, condense=condense)
        form += terms
        form.Assemble()
        loads = [ng.LinearForm(side).Assemble() for side in sides]
        lap.append(time.perf_counter())
        inverse = form.mat.Inverse(space.FreeDofs(coupling=condense), inverse=case["solver"])
        correctors = solved(form, space, loads, inverse, condense)
        if cell == "elasticity":
            mean = ng.Integrate(modulus, mesh)
            value = [mean[3 * i + j] - ng.InnerProduct(loads[i].vec, correctors[j].vec)
                     for i, j in ((0, 0), (0, 1), (2, 2))]  # fmt: skip
        else:
            value = [ng.InnerProduct(loads[0].vec, correctors[0].vec)]
        lap.append(time.perf_counter())
        stages = _stages(("geometry and mesh", "assembly", "solve"), lap)
        return {"value": value, "dofs": space.ndof, "stages": stages}

    return solve, ng.__version__


def _sfepy() -> tuple[Solver, str]:
    import numpy as np
    import sfepy
    from sfepy.base.base import output

    output.set_output(quiet=True)
    from sfepy.discrete import Equation, Equations, FieldVariable, Function, Functions, Integral, Material, Problem
    from sfepy.discrete.conditions import Conditions, EssentialBC, PeriodicBC
    from sfepy.discrete.fem import FEDomain, Field, Mesh, periodic
    from sfepy.solvers.ls import ScipyDirect
    from sfepy.terms import Term

    def domain_of(cell: str, case: Case) -> Any:
        raw = array_mesh(case["resolution"])
        inside = raw.phase_of_cell == raw.phases["matrix"]
        cells = raw.cells[inside] if cell == "stokes" else raw.cells
        used, cells = np.unique(cells, return_inverse=True)
        groups = np.where(inside, 1, 2)[inside if cell == "stokes" else slice(None)]
        connectivity = cells.reshape(-1, 3).astype(np.int32)
        mesh = Mesh.from_data("cell", raw.points[used], None, [connectivity], [groups.astype(np.int32)], ["2_3"])
        domain = FEDomain("domain", mesh)
        domain.create_region("Omega", "all")
        for name, axis, value in (("Left", "x", 0), ("Right", "x", 1), ("Bottom", "y", 0), ("Top", "y", 1)):
            domain.create_region(name, f"vertices in ({axis} > {value - 1e-6}) & ({axis} < {value + 1e-6})", "facet")
        domain.create_region("Corners", "(r.Left +v r.Right) *v (r.Bottom +v r.Top)", "vertex")
        if cell == "stokes":
            outer = "r.Left +v r.Right +v r.Bottom +v r.Top"
            domain.create_region("Wall", f"vertices of surface -v ({outer})", "facet")
        else:
            domain.create_region("Matrix", "cells of group 1")
            domain.create_region("Fibre", "cells of group 2")
        return domain

    def system(equations: Any, fixed: list[Any], names: list[str], domain: Any) -> tuple[Any, Any]:
        """The assembled matrix of the problem with the periods identified, and what evaluates its residual."""
        tied = {f"{name}.all": f"{name}.all" for name in names}
        regions = domain.regions
        pairs = [("x", regions["Left"], regions["Right"], "y"), ("y", regions["Bottom"], regions["Top"], "x")]
        periods = [PeriodicBC(f"p{axis}", [a, b], tied, match=f"match_{along}_line") for axis, a, b, along in pairs]
        functions = Functions([Function(f"match_{a}_line", getattr(periodic, f"match_{a}_line")) for a in "xy"])
        problem = Problem("cell", equations=equations, functions=functions)
        periodic.periodic_cache.clear()  # it knows a mesh by its number of nodes only
        problem.set_bcs(ebcs=Conditions(fixed), epbcs=Conditions(periods))
        problem.update_materials()
        problem.time_update()
        problem.equations.init_state()
        evaluator = problem.get_evaluator()
        variables = problem.get_variables()
        state = variables.create_reduced_vec()
        return evaluator.eval_tangent_matrix(state, problem.mtx_a), problem

    def factorised(matrix: Any) -> Any:
        solver = ScipyDirect({"kind": "ls.scipy_direct", "method": "auto", "use_presolve": True}, mtx=matrix)
        return lambda side: solver(side, mtx=matrix)

    def solve(cell: str, case: Case) -> Case:
        lap = [time.perf_counter()]
        domain = domain_of(cell, case)
        lap.append(time.perf_counter())
        degree = case["degree"]
        omega, regions = domain.regions["Omega"], domain.regions
        field = Field.from_args("displacement", np.float64, "vector", omega, approx_order=degree)
        u, v = FieldVariable("u", "unknown", field), FieldVariable("v", "test", field, primary_var_name="u")
        integral = Integral("i", order=2 * degree)
        if cell == "elasticity":
            tensors = {name.capitalize(): np.array(moduli(**solid)) for name, solid in SOLIDS.items()}
            material = Material("m", values={"D": tensors})
            term = Term.new("dw_lin_elastic(m.D, v, u)", integral, omega, m=material, v=v, u=u)
            equations = Equations([Equation("balance", term)])
            fixed = [EssentialBC("fixed", regions["Corners"], {"u.all": 0.0})]
            matrix, problem = system(equations, fixed, ["u"], domain)
            # The residual of the affine displacement of a unit strain is the load, and gives the mean stiffness.
            x = field.get_coor()
            zero = np.zeros(len(x))
            affine = [np.column_stack(pair).ravel() for pair in ((x[:, 0], zero), (zero, x[:, 1]),
                                                                (0.5 * x[:, 1], 0.5 * x[:, 0]))]  # fmt: skip
            loads = [problem.equations.eval_residuals(w).copy() for w in affine]
        else:
            below = Field.from_args("pressure", np.float64, "scalar", omega, approx_order=degree - 1)
            p, q = FieldVariable("p", "unknown", below), FieldVariable("q", "test", below, primary_var_name="p")
            force = np.zeros((2, 1))
            values = Function("force", lambda ts, x, mode=None, **_: {"val": np.tile(force, (len(x), 1, 1))}
                              if mode == "qp" else None)  # fmt: skip
            material = Material("f", function=values)
            terms = Term.new("dw_div_grad(v, u)", integral, omega, v=v, u=u)
            terms = terms - Term.new("dw_stokes(v, p)", integral, omega, v=v, p=p)
            terms = terms - Term.new("dw_volume_lvf(f.val, v)", integral, omega, f=material, v=v)
            divergence = Term.new("dw_stokes(u, q)", integral, omega, u=u, q=q)
            equations = Equations([Equation("momentum", terms), Equation("mass", divergence)])
            fixed = [EssentialBC("noslip", regions["Wall"], {"u.all": 0.0}),
                     EssentialBC("level", regions["Corners"], {"p.0": 0.0})]  # fmt: skip
            matrix, problem = system(equations, fixed, ["u", "p"], domain)
            evaluator, rest = problem.get_evaluator(), problem.get_variables().create_reduced_vec()
            loads = []
            for axis in range(2):
                force[:, 0] = np.eye(2)[axis]
                problem.update_materials()
                loads.append(evaluator.eval_residual(rest).copy())
        lap.append(time.perf_counter())
        inverse = factorised(matrix)
        correctors = [-inverse(load) for load in loads]
        if cell == "elasticity":
            mean = sum(part * np.array(moduli(**SOLIDS[name]))
                       for name, part in (("fibre", FRACTION), ("matrix", 1 - FRACTION)))  # fmt: skip
            value = [mean[i, j] + loads[i] @ correctors[j] for i, j in ((0, 0), (0, 1), (2, 2))]
        else:
            value = [-loads[0] @ correctors[0]]
        lap.append(time.perf_counter())
        stages = _stages(("mesh", "assembly", "solve"), lap)
        return {"value": [float(x) for x in value], "dofs": len(loads[0]), "stages": stages}

    return solve, sfepy.__version__


SOLVERS = {"homfem": _homfem, "ngsolve": _ngsolve, "sfepy": _sfepy}
