"""homfem: effective tensors of periodic microstructures, with guaranteed bounds, for tissue-scale models on FEniCSx.

A periodic cell and a physics give an ``EffectiveTensor``; a macroscale model takes effective tensors and an organ
mesh and marches in time over MPI. The names below load on first use, so that importing homfem stays fast.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Accuracy": "homfem.certify",
    "BidomainTensors": "homfem.tensors",
    "BlockMedium": "homfem.blocks",
    "EffectiveTensor": "homfem.tensors",
    "Image": "homfem.grid",
    "Lattice": "homfem.parameters",
    "UnitCell": "homfem.cells",
    "compare_boundary_conditions": "homfem.certify.windows",
    "from_file": "homfem.cells",
    "from_gmsh": "homfem.cells",
    "homogenize_active_stress": "homfem.certify",
    "homogenize_bidomain": "homfem.certify",
    "homogenize_calcium": "homfem.certify",
    "homogenize_blocks": "homfem.blocks",
    "homogenize_chemotaxis": "homfem.certify",
    "homogenize_diffusion": "homfem.certify",
    "homogenize_dispersion": "homfem.certify",
    "homogenize_elasticity": "homfem.certify",
    "homogenize_family": "homfem.certify",
    "homogenize_electrokinetics": "homfem.certify",
    "homogenize_gel": "homfem.certify",
    "homogenize_gel_image": "homfem.grid",
    "homogenize_image": "homfem.grid",
    "homogenize_multiplication": "homfem.certify",
    "homogenize_poroelasticity": "homfem.certify",
    "homogenize_reaction": "homfem.certify",
    "homogenize_reactive_inclusions": "homfem.certify",
    "homogenize_stokes": "homfem.certify",
    "homogenize_thermoelasticity": "homfem.certify",
    "load_cell": "homfem.cells",
    "localise": "homfem.output.microfields",
    "read_image": "homfem.grid",
    "solve_active_stress": "homfem.certify",
    "solve_bidomain": "homfem.certify",
    "solve_cell": "homfem.certify",
    "solve_chemotaxis": "homfem.certify",
    "solve_diffusion": "homfem.certify",
    "solve_dispersion": "homfem.certify",
    "solve_elasticity": "homfem.certify",
    "solve_electrokinetics": "homfem.certify",
    "solve_gel": "homfem.certify",
    "solve_gel_image": "homfem.grid",
    "solve_image": "homfem.grid",
    "solve_multiplication": "homfem.certify",
    "solve_poroelasticity": "homfem.certify",
    "solve_reaction": "homfem.certify",
    "solve_reactive_inclusions": "homfem.certify",
    "solve_stokes": "homfem.certify",
    "solve_thermoelasticity": "homfem.certify",
    "sweep_bidomain": "homfem.certify",
    "tensor_table": "homfem.tensors",
    "three_pipe": "homfem.cells",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in ("runs", "sweeps"):  # packages of calls: homfem.runs.tensor("cell.toml")
        return importlib.import_module(f"homfem.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'homfem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
