"""The architecture as a test: imports go down, siblings stay apart, heavy libraries load where they are used."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import homfem
from house import MANY, TABLE, House, circles, layers

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "homfem"

# From the bottom up. A module may import from the rows below its own; those of one row are siblings.
ROWS = (
    ("parameters", "progress", "disk", "keywords", "signals"),
    ("reference", "quantities", "stiffness", "fields", "limits", "brackets"),
    ("kinds",),
    ("coefficients", "descriptions"),
    ("tensors",),
    ("electrolytes",),
    ("materials", "bounds", "orientation", "blocks", "grid", "kinetics"),
    ("random_media",),
    ("meshing",),
    ("_dolfinx", "ranks"),
    ("solve", "timestepping", "step_control"),
    ("periodic",),
    ("cells", "bodies"),
    ("local",),
    ("certify", "rev", "macro"),
    ("inverse", "twoscale", "output"),
    ("config",),
    ("runs",),
    ("sweeps", "validation"),
    ("cli",),
    ("__main__",),
)
#: What CONTRIBUTING.md says of a row beside its names, by the module or package that it concerns.
RULES = {
    "parameters": "no DOLFINx, up to `meshing`",
    "meshing": "packages, each above those before it: `arrays`, `topology`, `cut`, `by_gmsh`, `files`, `shapes`",
    "_dolfinx": "nothing else distinguishes versions of DOLFINx",
    "solve": "only `solve` and `periodic` name PETSc options",
    "periodic": "only `periodic` uses the constraint library",
    "cells": "phases are named by strings outside `cells`",
    "local": "the corrector engine, and one module per cell problem",
    "macro": "one package per model, on the shared modules; `macro` never imports `cells` or `local`",
    "output": "plot libraries load where they are used",
    "config": "importing it loads no DOLFINx",
    "runs": "from a config to a result, without printing; importing it loads no DOLFINx",
    "sweeps": "importing it loads no DOLFINx",
    "validation": "published numbers, each once, beside ours",
    "cli": "importing it loads no DOLFINx",
}
ROW = {name: number for number, names in enumerate(ROWS) for name in names}
NO_FINITE_ELEMENTS = {name for names in ROWS[: ROWS.index(("meshing",)) + 1] for name in names}
FINITE_ELEMENTS = {"dolfinx", "dolfinx_mpc", "ufl", "basix", "ffcx", "petsc4py", "gmsh"}
# What a mesher of its own process loads: from the bottom up, each imports only from those before it.
MESHING = ("arrays", "topology", "cut", "by_gmsh", "files", "shapes")
GMSH = {"meshing", "bodies", "cli"}
# What a tensor is in a form of somebody's own: nothing of the package calls it below that form.
IN_FORMS = "homfem.tensors.expression"
# Loaded by a function that needs them, never by a module.
ON_USE = {"gmsh", "dolfinx_mpc", "matplotlib", "mpl_toolkits", "pyvista", "vtk", "meshio", "pint"}
LIGHT = {"config", "runs", "sweeps"}  # they load what computes where they use it
FEW = 1  # functions with more than MANY parameters: homfem.cli.app.cell, which has the options of a command
# Further bans: macroscale models are handed effective tensors and never see a cell.
FORBIDDEN = {"macro": {"cells", "local"}}
# What macroscale models share: each model may import these, and they may import each other, but never a model.
SHARED_IN_MACRO = {
    f"macro.{name}"
    for name in (
        *("state", "march", "stepping", "rungs", "activated", "observers", "places", "probes", "series"),
        *("domain", "domain_makers", "fibres", "fibre_files", "fibre_rules", "layers", "extent", "coefficients"),
        *("reaction", "linear", "stimulus", "conditions", "linear_problem", "flow", "positive", "initial", "parts"),
        *("beats", "clipping", "diffusion_step"),
        *("action_potentials", "protocols", "samples", "leads", "ecg", "recovery", "conduction", "tips"),
    )
}
CONSTRAINT_LIBRARY = {"periodic", "cli"}
PETSC_OPTIONS = {"periodic", "solve"}
OPTION = re.compile(
    r"(homfem_)?(mg_levels_|mg_coarse_)?(ksp|pc|snes|mat_mumps|mat_superlu|mg_levels|mg_coarse)_[a-z0-9_]+"
)


def unit_of(module: str) -> str:
    """Return the unit of a module: a top-level module or package, or one macroscale model (``macro.calcium``)."""
    parts = module.split(".")[1:]
    if not parts:
        return ""
    return ".".join(parts[:2]) if parts[0] == "macro" else parts[0]


def public(name: str) -> str:
    """Return the module behind a name that the package offers by itself: ``homfem.three_pipe`` is ``homfem.cells``."""
    return homfem._WHERE.get(name.removeprefix("homfem."), name)


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Yield every imported module, absolute, with its line; ``from homfem import solve`` counts as ``homfem.solve``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            if base in ("homfem", "homfem.macro", "homfem.meshing"):
                yield from ((public(f"{base}.{alias.name}"), node.lineno) for alias in node.names)
            else:
                yield base, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from ((arg.value, node.lineno) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def at_module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the statements that run when the module is imported; a body of ``if TYPE_CHECKING`` does not."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            pending.extend(
                child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.excepthandler))
            )


def docstrings(tree: ast.AST) -> set[int]:
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def check_source(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return what is wrong with one module, each as ``"module:line: what"``."""
    tree = ast.parse(source)
    unit = unit_of(module)
    family = unit.split(".")[0]
    wrong: list[str] = []

    def say(line: int, what: str) -> None:
        wrong.append(f"{module}:{line}: {what}")

    if family and family not in ROW:
        say(1, f"{family} has no place in the table of layers")
        return wrong
    for imported, line in imports(tree, module, is_package):
        top = imported.split(".")[0]
        if (
            top in FINITE_ELEMENTS | {"mpi4py"}
            and family in NO_FINITE_ELEMENTS
            and (top, family) != ("gmsh", "meshing")
            and module != IN_FORMS
        ):
            say(line, f"{family} imports {top}")
        if top == "dolfinx_mpc" and family not in CONSTRAINT_LIBRARY:
            say(line, "only periodic uses dolfinx_mpc")
        if top == "gmsh" and (
            family not in GMSH or (family == "meshing" and not module.startswith("homfem.meshing.by_gmsh"))
        ):
            say(line, "only meshing.by_gmsh uses gmsh")
        if top != "homfem" or not family:
            continue
        if family == "meshing" and imported.startswith("homfem.meshing."):
            own, used = (
                MESHING.index(name.split(".")[2]) if name.count(".") > 1 else -1 for name in (module, imported)
            )
            if used > own:
                say(line, f"{module} imports {imported}, which is above it")
        other = unit_of(imported)
        base = other.split(".")[0]
        if base in ("", "__version__") or other == unit or unit == "macro":
            continue
        if base not in ROW:
            say(line, f"{imported} has no place in the table of layers")
        elif base in FORBIDDEN.get(family, ()):
            say(line, f"{family} never imports {base}")
        elif ROW[base] > ROW[family]:
            say(line, f"{family} imports {imported}, which is above it")
        elif ROW[base] == ROW[family] and not (family == "macro" and other in SHARED_IN_MACRO):
            say(line, f"{unit} imports its sibling {imported}")
    for node in at_module_level(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for imported, line in imports(node, module, is_package):
                light = family in LIGHT or module == IN_FORMS
                if imported.split(".")[0] in (ON_USE | FINITE_ELEMENTS if light else ON_USE):
                    say(line, f"{imported} is imported by the module instead of where it is used")
    plain_text = docstrings(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if family not in PETSC_OPTIONS:
            constant = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain_text
            if constant and OPTION.fullmatch(node.value):
                say(line, f"names the PETSc option {node.value!r}")
            if isinstance(node, ast.Attribute) and node.attr in ("Options", "setFromOptions", "setOptionsPrefix"):
                say(line, f"uses PETSc's {node.attr}")
            if isinstance(node, ast.keyword) and node.arg == "petsc_options":
                say(line, "names PETSc options")
        if family != "_dolfinx" and isinstance(node, (ast.Compare, ast.Attribute)):
            # Reporting a version is fine; comparing it or taking it apart is not.
            inside = node.value if isinstance(node, ast.Attribute) else node
            for part in ast.walk(inside) if isinstance(node, ast.Compare) else [inside]:
                version = isinstance(part, ast.Attribute) and part.attr in ("__version__", "VERSION")
                if version and "dolfinx" in ast.unparse(part):
                    say(line, "distinguishes dolfinx versions")
        if family and isinstance(node, ast.Attribute) and ast.unparse(node.value) == "homfem":
            reached = unit_of(public(f"homfem.{node.attr}")).split(".")[0]
            if ROW.get(reached, -1) >= ROW[family]:
                say(line, f"reaches homfem.{node.attr} through the package, which is not below it")
    if is_package:
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and module != "homfem":
                say(node.lineno, f"__init__.py only re-exports; {node.name} belongs into a module")
    return wrong


def sources() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def test_every_module_keeps_to_its_layer() -> None:
    modules = sources()
    assert len(modules) > 20
    wrong = [line for name, path in modules for line in check_source(name, path.read_text(), path.stem == "__init__")]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_table_of_layers_is_the_one_checked_here() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert TABLE.findall(page) == [layers(ROWS, RULES)], "python tests/house.py writes the table"


def test_no_circle_of_packages_and_few_long_lists_of_parameters() -> None:
    house = House(ROOT)
    packages = [f"homfem.{name}" for names in ROWS for name in names]
    assert circles(house.between(packages)) == []
    many = sorted((f.parameters, f.name) for f in house.functions if f.parameters > MANY)
    assert len(many) <= FEW, "\n".join(f"{name}: {number} parameters" for number, name in many)


def test_circles_and_parameters_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "homfem"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from homfem.b import x\n")
    (package / "b.py").write_text("def f():\n    from .c import y\n")
    (package / "c.py").write_text("from homfem import a\nclass C:\n    def g(self, a, b, /, c, *d, e=1, **f): ...\n")
    house = House(tmp_path)
    names = ["homfem.a", "homfem.b", "homfem.c"]
    assert circles(house.between(names)) == [set(names)]
    assert circles(house.between(names[:2])) == []
    assert {f.name: f.parameters for f in house.functions} == {"homfem.b.f": 0, "homfem.c.g": 4}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("homfem.solve", "from homfem.cells import UnitCell", "above it"),
        ("homfem.solve", "from homfem import periodic", "above it"),
        ("homfem.solve", "def f():\n    from homfem.local.engine import CellProblem", "above it"),
        ("homfem.solve", "import importlib\nimportlib.import_module('homfem.certify')", "above it"),
        ("homfem.kinetics.calcium", "from homfem.blocks import media", "sibling"),
        ("homfem.kinetics.calcium", "from ..blocks import media", "sibling"),
        ("homfem.certify", "from homfem.macro.calcium import solve_calcium", "sibling"),
        ("homfem.macro.cardiac", "from homfem.macro import calcium", "sibling"),
        ("homfem.macro.march", "from homfem.macro.calcium import run_calcium", "sibling"),
        ("homfem.certify", "from homfem.macro.march import march", "sibling"),
        ("homfem.macro.calcium.run", "from homfem.cells import UnitCell", "never imports cells"),
        ("homfem.macro.calcium.run", "from homfem.local.engine import CellProblem", "never imports local"),
        ("homfem.macro.calcium.run", "from homfem.output import checkpoint", "above it"),
        ("homfem.tensors", "from dolfinx import fem", "imports dolfinx"),
        ("homfem.tensors.rotation", "def f():\n    import ufl", "imports ufl"),
        ("homfem.tensors.expression", "import ufl", "where it is used"),
        ("homfem.meshing.shapes.fibres", "from mpi4py import MPI", "imports mpi4py"),
        ("homfem.meshing.shapes.fibres", "from homfem.cells import UnitCell", "above it"),
        ("homfem.meshing.shapes.fibres", "def f():\n    import gmsh", "only meshing.by_gmsh"),
        ("homfem.cells.unitcell", "def f():\n    import gmsh", "only meshing.by_gmsh"),
        ("homfem.meshing.arrays.raw_cell", "from homfem.meshing.topology.faces import join", "above it"),
        ("homfem.meshing.cut.implicit", "from homfem.meshing import by_gmsh", "above it"),
        ("homfem.kinetics.calcium", "def f():\n    import ufl", "imports ufl"),
        ("homfem.config.cells", "from dolfinx import mesh", "where it is used"),
        ("homfem.runs.cells", "from petsc4py import PETSc", "where it is used"),
        ("homfem.config.cells", "from homfem.runs import tensor", "above it"),
        ("homfem.local.engine", "def f():\n    import dolfinx_mpc", "only periodic"),
        ("homfem.output.waves", "import matplotlib.pyplot as plt", "where it is used"),
        (
            "homfem.output.waves",
            "try:\n    import pyvista\nexcept ImportError:\n    pyvista = None",
            "where it is used",
        ),
        ("homfem.local.engine", "options = {'ksp_type': 'cg'}", "PETSc option 'ksp_type'"),
        ("homfem.local.engine", "options = {'mg_levels_pc_type': 'sor'}", "PETSc option"),
        ("homfem.local.engine", "PETSc.Options()['x'] = 1", "Options"),
        ("homfem.local.engine", "LinearProblem(a, L, petsc_options={})", "PETSc options"),
        ("homfem.local.engine", "import dolfinx\nif dolfinx.__version__ >= '0.10': pass", "versions"),
        ("homfem.local.engine", "import dolfinx\nv = dolfinx.__version__.split('.')", "versions"),
        ("homfem.local.engine", "from homfem import _dolfinx\nif _dolfinx.VERSION > (0, 9): pass", "versions"),
        ("homfem.tensors", "import homfem\nhomfem.three_pipe(0.1)", "through the package"),
        ("homfem.tensors", "from homfem import three_pipe", "above it"),
        ("homfem.novelty", "x = 1", "no place"),
        ("homfem.solve", "from homfem.novelty import x", "no place"),
    ],
)
def test_a_planted_violation_is_seen(module: str, source: str, complaint: str) -> None:
    wrong = check_source(module, source)
    assert len(wrong) == 1, wrong
    assert complaint in wrong[0]


def test_a_function_in_a_package_file_is_seen() -> None:
    assert "only re-exports" in check_source("homfem.cells", "def make(): ...", is_package=True)[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("homfem.certify", "from homfem.local.engine import solve_correctors\nfrom homfem import periodic, solve"),
        ("homfem.certify", "import dolfinx\nimport homfem\nv = {'d': dolfinx.__version__, 'h': homfem.__version__}"),
        ("homfem.cells.unitcell", "from homfem.meshing.shapes.plan import CellPlan\nfrom . import features"),
        ("homfem.meshing.shapes.fibres", "from homfem.meshing.cut import implicit\nfrom . import plan"),
        ("homfem.meshing.by_gmsh.session", "def f():\n    import gmsh"),
        (
            "homfem.macro.calcium.run",
            "from homfem.macro.calcium import model\nfrom homfem.timestepping import TimeGrid",
        ),
        ("homfem.macro.calcium.run", "from homfem.macro import march\nfrom homfem.macro.observers import Activation"),
        ("homfem.macro.observers", "from homfem.macro.state import Model"),
        ("homfem.solve", "options = {'ksp_type': 'cg', 'pc_type': 'gamg'}\nPETSc.Options()"),
        ("homfem.output.waves", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib"),
        ("homfem.output.waves", "class A:\n    def figure(self):\n        import matplotlib"),
        ("homfem.config.cells", "import homfem\ndef f():\n    import dolfinx\n    return homfem.three_pipe(0.1)"),
        ("homfem.cli", "from homfem.config import read\ndef doctor():\n    import dolfinx_mpc"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert check_source(module, source) == []


# How long it takes is told in units of other work of the interpreter, done in the same process: a busy machine is as
# slow with both. The unit is .1 s of a free one.
IMPORT_AND_REPORT = """
import json, sys, time
start = time.process_time()
{action}
spent = time.process_time() - start
heavy = sorted({{name.split(".")[0] for name in sys.modules}} & set({heavy!r}))
start = time.process_time()
for _ in range({unit}):
    compile("a = [b for b in range(3)]\\n" * 100, "unit", "exec")
print("\\n" + json.dumps({{"heavy": heavy, "units": spent / (time.process_time() - start)}}))
"""
HELP = """
sys.argv = ["homfem", "--help"]
from homfem.cli import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


@pytest.mark.parametrize(
    "action",
    ["import homfem", "import homfem.config", "import homfem.runs", "import homfem.sweeps", HELP],
    ids=["homfem", "homfem.config", "homfem.runs", "homfem.sweeps", "homfem --help"],
)
def test_light_entries_load_no_heavy_library(action: str) -> None:
    heavy = sorted(FINITE_ELEMENTS | {"matplotlib", "pyvista", "vtk", "meshio", "mpi4py"})
    program = IMPORT_AND_REPORT.format(action=action, heavy=heavy, unit=170)
    reports = []
    for _ in range(2):  # the first run may have to compile the modules
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert run.returncode == 0, run.stderr
        reports.append(json.loads(run.stdout.splitlines()[-1]))
    assert reports[-1]["heavy"] == []
    assert min(report["units"] for report in reports) < (15.0 if action == HELP else 8.0)


def test_the_package_offers_what_computes_a_cell() -> None:
    """Every name is there, the same object as in its module; what homogenizes, solves, compares is among the names."""
    import homfem.certify
    import homfem.certify.windows
    import homfem.output.microfields

    for name in homfem.__all__:
        assert getattr(homfem, name).__name__ == name
    public = [name for name in homfem.certify.__all__ if name.startswith(("homogenize_", "solve_"))]
    assert set(public) <= set(homfem.__all__)
    assert homfem.compare_boundary_conditions is homfem.certify.windows.compare_boundary_conditions
    assert homfem.localise is homfem.output.microfields.localise
    with pytest.raises(AttributeError, match="homogenise"):
        homfem.homogenise  # noqa: B018
