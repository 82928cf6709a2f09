"""Effective tensors with guaranteed bounds where theory gives them: one call for every physics, on adaptive meshes.

``solve_cell(cell, physics, Accuracy(...))`` solves the cell problem of a physics, which is one package here: its data,
its two sides, the gap between them, what straight facets change. ``solve_diffusion`` and its like take the data as
arguments, ``homogenize_diffusion`` and its like return the effective tensor alone.
"""

from homfem.certify.accuracy import Accuracy
from homfem.certify.bidomain import homogenize_bidomain, solve_bidomain, sweep_bidomain
from homfem.certify.calcium import CalciumTensors, homogenize_calcium
from homfem.certify.chemotaxis import Chemotaxis, homogenize_chemotaxis, solve_chemotaxis
from homfem.certify.coupled import (
    ActiveElasticity,
    ActiveStress,
    PoroElastic,
    Poroelasticity,
    ThermoElastic,
    Thermoelasticity,
    homogenize_active_stress,
    homogenize_poroelasticity,
    homogenize_thermoelasticity,
    solve_active_stress,
    solve_poroelasticity,
    solve_thermoelasticity,
)
from homfem.certify.diffusion import (
    Diffusion,
    diffusion_gaps,
    homogenize_diffusion,
    residual_allowance,
    solve_diffusion,
)
from homfem.certify.dispersion import (
    Dispersion,
    GivenFlow,
    StokesFlow,
    StreamFunction,
    homogenize_dispersion,
    solve_dispersion,
)
from homfem.certify.elasticity import Elasticity, elastic_gaps, hill_mandel, homogenize_elasticity, solve_elasticity
from homfem.certify.electrokinetics import (
    Electrokinetics,
    homogenize_electrokinetics,
    solve_electrokinetics,
)
from homfem.certify.families import homogenize_family
from homfem.certify.gels import homogenize_gel, solve_gel
from homfem.certify.inclusions import homogenize_reactive_inclusions, solve_reactive_inclusions
from homfem.certify.loop import solve_cell, versions
from homfem.certify.multiplication import (
    CrossSections,
    Multiplication,
    homogenize_multiplication,
    solve_multiplication,
)
from homfem.certify.physics import CellSolution, MeshSolution, Physics
from homfem.certify.reaction import Reaction, homogenize_reaction, solve_reaction
from homfem.certify.stokes import Stokes, homogenize_stokes, solve_stokes

__all__ = [
    "Accuracy",
    "ActiveElasticity",
    "ActiveStress",
    "CalciumTensors",
    "CellSolution",
    "Chemotaxis",
    "CrossSections",
    "Diffusion",
    "Dispersion",
    "Elasticity",
    "Electrokinetics",
    "GivenFlow",
    "MeshSolution",
    "Multiplication",
    "Physics",
    "PoroElastic",
    "Poroelasticity",
    "Reaction",
    "Stokes",
    "StokesFlow",
    "StreamFunction",
    "ThermoElastic",
    "Thermoelasticity",
    "diffusion_gaps",
    "elastic_gaps",
    "hill_mandel",
    "homogenize_active_stress",
    "homogenize_bidomain",
    "homogenize_calcium",
    "homogenize_chemotaxis",
    "homogenize_diffusion",
    "homogenize_dispersion",
    "homogenize_elasticity",
    "homogenize_electrokinetics",
    "homogenize_family",
    "homogenize_gel",
    "homogenize_multiplication",
    "homogenize_poroelasticity",
    "homogenize_reaction",
    "homogenize_reactive_inclusions",
    "homogenize_stokes",
    "homogenize_thermoelasticity",
    "residual_allowance",
    "solve_active_stress",
    "solve_bidomain",
    "solve_cell",
    "solve_chemotaxis",
    "solve_diffusion",
    "solve_dispersion",
    "solve_elasticity",
    "solve_electrokinetics",
    "solve_gel",
    "solve_multiplication",
    "solve_poroelasticity",
    "solve_reaction",
    "solve_reactive_inclusions",
    "solve_stokes",
    "solve_thermoelasticity",
    "sweep_bidomain",
    "versions",
]
