"""The command ``homfem doctor``: what homfem runs on, and what works."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json as jsonlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import homfem
from homfem.cli import session
from homfem.disk import write_text
from homfem.runs.targets import check_target

_MODULES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "pydantic": "pydantic",
    "pint": "pint",
    "typer": "typer",
    "rich": "rich",
    "mpi4py": "mpi4py",
    "petsc4py": "petsc4py",
    "slepc4py": "slepc4py",
    "basix": "basix",
    "ufl": "ufl",
    "ffcx": "ffcx",
    "dolfinx": "dolfinx",
    "dolfinx_mpc": "dolfinx_mpc",
    "gmsh": "gmsh",
    "meshio": "meshio",
    "h5py": "h5py",
    "matplotlib": "matplotlib",
    "pyvista": "pyvista",
}
_ESSENTIAL = ("numpy", "scipy", "mpi4py", "petsc4py", "dolfinx", "gmsh", "meshio")
_DISTRIBUTIONS = {"dolfinx": "fenics-dolfinx", "basix": "fenics-basix", "ufl": "fenics-ufl", "ffcx": "fenics-ffcx"}
_PETSC_PACKAGES = ("hypre", "mumps", "superlu_dist", "scalapack", "parmetis", "ptscotch", "suitesparse", "hdf5")


def run_doctor(*, json: str | None) -> int:
    """Show what is here and what works; return 0 if homfem can compute, else 1."""
    check_target("--json", json)
    report = examine()
    text = jsonlib.dumps(report, indent=2)
    if json is not None and json != "-" and not session.launched_rank():
        write_text(json, text + "\n")
    session.show(text if json == "-" else _readable(report))
    return session.DONE if report["works"] else session.FAILED


def examine() -> dict[str, Any]:
    """Return versions, packages and what works, as plain data. Collective where there are ranks."""
    versions = {name: _version(name) for name in _MODULES}
    missing = [name for name in _ESSENTIAL if versions[name] is None]
    report: dict[str, Any] = {
        "homfem": homfem.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version or "missing" for name, version in versions.items()},
        "compiler": _compiler(),
        "cache": _cache(),
        "figures": _figures(versions),
        "threads per rank": os.environ.get("OMP_NUM_THREADS", "not set (OMP_NUM_THREADS)"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if versions["mpi4py"] is not None:
        from mpi4py import MPI

        report["mpi"] = MPI.Get_library_version().splitlines()[0].split(",")[0].strip("\0 ")
        report["ranks"] = MPI.COMM_WORLD.size
    if versions["petsc4py"] is not None:
        report["petsc packages"] = _petsc_packages()
    problems = [f"{name} is missing" for name in missing]
    problems += [] if report["compiler"]["works"] else ["no C compiler: forms cannot be compiled"]
    problems += [] if report["cache"]["writable"] else [f"the cache folder {report['cache']['folder']} is not writable"]
    problems += [] if missing else _trial()
    report["problems"] = problems
    report["works"] = not problems
    return report


def _version(name: str) -> str | None:
    """Return the version of a module that can be found, without loading it where its package says it."""
    if importlib.util.find_spec(_MODULES[name]) is None:
        return None
    for distribution in (_DISTRIBUTIONS.get(name, name), name):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        return str(getattr(importlib.import_module(_MODULES[name]), "__version__", "unknown"))
    except ImportError as error:
        return f"does not load: {error}"


def _compiler() -> dict[str, Any]:
    command = os.environ.get("CC") or "cc"
    found = shutil.which(command.split()[0]) or shutil.which("gcc")
    if found is None:
        return {"command": command, "version": "missing", "works": False}
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return {"command": found, "version": (answer.stdout.splitlines() or [""])[0], "works": answer.returncode == 0}


def _cache() -> dict[str, Any]:
    """Where dolfinx keeps compiled forms."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fenics"
    nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
    forms = len(list(folder.glob("*.so"))) if folder.is_dir() else 0
    return {"folder": str(folder), "writable": os.access(nearest, os.W_OK), "compiled forms": forms}


def _figures(versions: dict[str, str | None]) -> str:
    """What draws figures. pyvista may end the process: it is tried in a process of its own."""
    if versions["pyvista"] is None:
        return "matplotlib" if versions["matplotlib"] else "none: matplotlib and pyvista are missing"
    from homfem.output.pyvista_pictures import pyvista_works

    if not pyvista_works():
        return "matplotlib (pyvista is here, but its VTK cannot draw without a display)"
    if session.launched_rank() is not None:
        return "pyvista (not tried under mpirun)"
    script = "import pyvista as p; q = p.Plotter(off_screen=True); q.add_mesh(p.Sphere()); q.screenshot()"
    trial = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    return "pyvista, off-screen" if trial.returncode == 0 else f"matplotlib (pyvista ends with {trial.returncode})"


def _petsc_packages() -> list[str]:
    from petsc4py import PETSc

    return [name for name in _PETSC_PACKAGES if PETSc.Sys.hasExternalPackage(name)]


def _trial() -> list[str]:
    """Solve a small cell problem: compiler, constraint, solver; return what went wrong."""
    try:
        cell = homfem.three_pipe(0.5, resolution=1.0 / 3.0)
        tensor = homfem.homogenize_diffusion(cell, {"er": 1.0})
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return [f"a small cell problem fails: {type(error).__name__}: {error}"]
    # Pipes of half the period fill half of the cell: the effective coefficient lies below that (Voigt).
    right = all(0.0 < float(tensor.value[k, k]) < 0.5 for k in range(3))
    return [] if right else [f"a small cell problem gives a wrong number: {tensor.value.tolist()}"]


def _readable(report: dict[str, Any]) -> str:
    lines = [f"homfem {report['homfem']}, Python {report['python']}, {report['platform']}"]
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    if "mpi" in report:
        lines.append(f"MPI: {report['mpi']}, {report['ranks']} rank(s), {report['cores']} core(s)")
    if "petsc packages" in report:
        lines.append("PETSc packages: " + (", ".join(report["petsc packages"]) or "none"))
    lines.append(f"compiler: {report['compiler']['command']} ({report['compiler']['version']})")
    cache = report["cache"]
    writable = "writable" if cache["writable"] else "NOT writable"
    lines.append(f"compiled forms: {cache['folder']} ({writable}, {cache['compiled forms']} there)")
    lines.append(f"figures: {report['figures']}")
    lines.append(f"threads per rank: {report['threads per rank']}")
    lines += [f"PROBLEM: {problem}" for problem in report["problems"]]
    here = "homfem does not work here"
    if any(report["versions"][name] == "missing" for name in _ESSENTIAL):
        here = "only methods without a mesh compute here: those of blocks, and method = 'grid' on images"
    lines.append("everything works" if report["works"] else here)
    return "\n".join(lines)
