"""Keywords that functions share are in their signatures and docstrings, and the same everywhere."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from typing import get_type_hints

import numpy as np
import pytest

import homfem
from homfem import cells
from homfem.blocks.accuracy import BlockAccuracy, BlockOptions
from homfem.cells.making import Making, MakingOptions
from homfem.certify import Accuracy, Diffusion, Elasticity, Stokes, solve_cell
from homfem.certify.accuracy import AccuracyOptions
from homfem.grid.accuracy import GridAccuracy, GridOptions
from homfem.grid.files import ImageOptions, ImageReading, read_image
from homfem.keywords import inherits, part_of, takes
from homfem.macro.calcium.run import CalciumOptions, CalciumSettings, run_calcium
from homfem.macro.march import march
from homfem.meshing.by_gmsh.model import from_gmsh_raw
from homfem.meshing.by_gmsh.reading import GmshOptions, GmshReading
from homfem.meshing.files.body import BodyOptions, BodyReading, read_body
from homfem.meshing.files.foreign import MeshioOptions, MeshioReading, from_meshio_raw
from homfem.meshing.shapes.fibres import FibreArray, FibreArrayOptions
from homfem.meshing.shapes.plan import (
    BoxMesh,
    BoxMeshOptions,
    MyocyteOptions,
    Myocytes,
    NetworkMesh,
    SurfaceMesh,
    SurfaceMeshOptions,
)
from homfem.meshing.shapes.three_pipe import PipeMesh, PipeMeshOptions
from homfem.parameters import InputError
from homfem.random_media.packing import Many, ManyOptions, random_sequential_addition
from made_cells import grid_cell, square

PHYSICS = ("diffusion", "elasticity", "stokes", "thermoelasticity", "poroelasticity", "active_stress")
CELLS = [f"{verb}_{what}" for verb in ("solve", "homogenize") for what in PHYSICS]
WORDS = ["tolerance", "max_dofs", "degree", "bounds", "symmetry", "backend", "rtol"]


@dataclass
class Words:
    """How.

    Parameters
    ----------
    tolerance
        How near.
        On two lines.
    most
        How many.

    Notes
    -----
    No parameter.
    """

    tolerance: float | None = None
    most: int = 3


@takes(Words)
def whole(cell, *, unit="", **words):
    """Solve a cell.

    Parameters
    ----------
    cell
        The cell.
    unit
        Its unit.
    **words
        As they are.

    Returns
    -------
    dict
        All.
    """
    return {"cell": cell, "unit": unit} | words


def test_the_fields_of_a_dataclass_are_the_keywords_of_a_function():
    shown = inspect.signature(whole)
    assert str(shown) == "(cell, *, unit='', tolerance: 'float | None' = None, most: 'int' = 3)"
    entries = "unit\n    Its unit.\ntolerance\n    How near.\n    On two lines.\nmost\n    How many.\n\nReturns\n"
    assert entries in whole.__doc__
    assert "No parameter" not in whole.__doc__
    assert whole(1, most=4) == {"cell": 1, "unit": "", "most": 4}


def test_a_part_has_the_parameters_of_the_whole():
    unit = part_of(whole, "unit_of", lambda found: found["unit"], returns=str, summary="Return the unit.")
    assert unit(1, unit="um", most=2) == "um"
    assert (unit.__name__, unit.__doc__.splitlines()[0]) == ("unit_of", "Return the unit.")
    assert "Returns\n-------\nstr\n    All." in unit.__doc__
    assert inspect.signature(unit).parameters == inspect.signature(whole).parameters
    assert inspect.signature(unit).return_annotation == "str"


def test_a_docstring_takes_the_texts_that_it_lacks_from_another_one():
    @takes(Words)
    @inherits(whole)
    def twice(cell, factor, *, unit="", **words):
        """Solve twice.

        Parameters
        ----------
        cell
        factor
            Of both.

            On two paragraphs.
        unit
        **words
            As they are.

        Returns
        -------
        """

    assert twice.__doc__ == (
        "Solve twice.\n\nParameters\n----------\ncell\n    The cell.\nfactor\n    Of both.\n\n    On two paragraphs.\n"
        "unit\n    Its unit.\ntolerance\n    How near.\n    On two lines.\nmost\n    How many.\n\n"
        "Returns\n-------\ndict\n    All."
    )


@pytest.mark.parametrize(
    "text", ["Parameters\n----------\ncell\nother\n", "Raises\n------\nInputError\n", "Notes\n-----\n"]
)
def test_a_text_that_neither_docstring_has_is_missed(text):
    def part(cell): ...

    part.__doc__ = f"Solve.\n\n{text}"
    with pytest.raises(ValueError, match=r"part: .* whole"):
        inherits(whole)(part)


def test_the_typed_dictionary_has_the_words_of_accuracy():
    assert [field.name for field in fields(Accuracy)] == WORDS == list(AccuracyOptions.__annotations__)
    assert get_type_hints(Accuracy) == get_type_hints(AccuracyOptions)


@pytest.mark.parametrize("name", CELLS)
def test_every_physics_has_the_same_words_order_and_defaults(name):
    function = getattr(homfem, name)
    parameters = inspect.signature(function).parameters
    assert next(iter(parameters)) == "cell"
    assert list(parameters)[-len(WORDS) - 1 :] == ["config", *WORDS]
    assert all(one.kind is not one.VAR_KEYWORD for one in parameters.values())
    assert [parameters[word].default for word in WORDS] == [field.default for field in fields(Accuracy)]
    for section in ("Parameters", "Returns", "Raises", "Notes"):
        assert f"\n{section}\n---" in function.__doc__
    for word in parameters:
        documented = [line for line in function.__doc__.splitlines() if not line.startswith(" ")]
        assert any(word in line.split(" : ")[0].split(", ") for line in documented), word
    with pytest.raises(TypeError, match="tolerence"):
        function(*[None] * len([p for p in parameters.values() if p.default is p.empty]), tolerence=1e-3)


@pytest.mark.parametrize(
    ("name", "words", "options"),
    [
        ("solve_image", GridAccuracy, GridOptions),
        ("homogenize_image", GridAccuracy, GridOptions),
        ("homogenize_blocks", BlockAccuracy, BlockOptions),
    ],
)
def test_images_and_blocks_have_the_same_words_in_the_same_order(name, words, options):
    parameters = inspect.signature(getattr(homfem, name)).parameters
    own = [field.name for field in fields(words)]
    assert list(parameters)[-len(own) - 3 :] == ["physics", "unit", "config", *own]
    assert get_type_hints(words) == get_type_hints(options)
    shared = [word for word in own if word in WORDS]
    assert own[: len(shared)] == shared == [word for word in WORDS if word in own]
    assert all(parameters[word].default is None for word in shared)
    assert (
        ("fields" in parameters) == ("fields\n    Whether" in getattr(homfem, name).__doc__) == (name == "solve_image")
    )


@pytest.mark.parametrize(
    ("physics", "accuracy", "message"),
    [
        (Stokes(fluid="a", max_iterations=0), {}, "max_iterations"),
        (Stokes(fluid="a", boundary="affine"), {}, "boundary"),
        (Stokes(fluid="a", slip_length=1.0), {"symmetry": "auto"}, "symmetry"),
        (Stokes(fluid="a"), {"backend": "multipoint"}, "backend"),
        (Diffusion(coefficients={"a": 1.0}, boundary="flux"), {"symmetry": "auto"}, "symmetry"),
        (Diffusion(coefficients={"a": 1.0}), {"tolerance": 0.1, "bounds": False}, "tolerance"),
        (Diffusion(coefficients={"a": 1.0}, lower_degree=2), {}, "lower_degree"),
        (Elasticity(stiffnesses={"a": {"young": 1.0, "poisson": 0.3}}), {"tolerance": 0.1, "bounds": False}, "toler"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_work(physics, accuracy, message):
    with pytest.raises(InputError, match=message):
        solve_cell(grid_cell((4, 4), square), physics, Accuracy(**accuracy))


def test_images_and_blocks_keep_the_physics_and_the_input():
    """Layers of 1 and 3 S/m."""
    image = homfem.Image.from_labels([[0, 0], [1, 1]], {"a": 0, "b": 1})
    given = {"physics": "conductivity", "unit": "S/m", "config": {"key": 1}}
    grid = homfem.homogenize_image(image, {"a": 1.0, "b": 3.0}, **given)
    blocks = homfem.homogenize_blocks(homfem.BlockMedium(diffusivity=[[1.0, 3.0]]), **given)
    for tensor in (grid, blocks):
        assert (tensor.physics, tensor.unit, dict(tensor.config)) == ("conductivity", "S/m", {"key": 1})
    assert sorted(np.diag(grid.value)) == pytest.approx([1.5, 2.0])
    assert sorted(np.diag(blocks.value)) == pytest.approx([1.5, 2.0])


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"tolerance": 1.0}, "< 1"),
        ({"tolerance": 0.0}, ">= 1e-13"),
        ({"max_dofs": 0}, ">= 1"),
        ({"degree": 7}, "<= 6"),
        ({"degree": 0}, ">= 1"),
        ({"bounds": "yes"}, "True, False or None"),
        ({"symmetry": "octant"}, "'auto'"),
        ({"rtol": 1e-3}, "<= 0.0001"),
        ({"rtol": 0.0}, "> 0"),
    ],
)
def test_what_is_out_of_range_is_refused(given, allowed):
    with pytest.raises(InputError, match=f"{next(iter(given))} = .*{allowed}"):
        Accuracy(**given)


@pytest.mark.parametrize("name", [f"solve_{what}" for what in PHYSICS[3:]])
def test_coupled_elasticity_is_solved_whole(name):
    solids = {"a": {"young": 1.0, "poisson": 0.3}}
    further = {"solve_thermoelasticity": [{"a": 1.0}], "solve_active_stress": ["a", [1.0, 0.0]]}.get(name, [])
    with pytest.raises(InputError, match="symmetry"):
        getattr(homfem, name)(grid_cell((4, 4), square), solids, *further, symmetry="auto")


@pytest.mark.parametrize(
    ("maker", "words", "options"),
    [
        ("slit", BoxMesh, BoxMeshOptions),
        ("sheets", NetworkMesh, BoxMeshOptions),
        ("three_pipe", PipeMesh, PipeMeshOptions),
        ("fibre_array", SurfaceMesh, SurfaceMeshOptions),
    ],
)
def test_makers_of_cells_show_how_they_mesh(maker, words, options):
    parameters = inspect.signature(getattr(cells, maker)).parameters
    names = [field.name for field in fields(words)]
    assert list(parameters)[-len(names) :] == names == list(options.__annotations__)
    assert get_type_hints(words) == get_type_hints(options)
    assert parameters["length_unit"].default == ("um" if maker in ("sheets", "three_pipe") else "m")
    assert all(
        f"\n{name}" in getattr(cells, maker).__doc__ or f", {name}" in getattr(cells, maker).__doc__ for name in names
    )
    with pytest.raises(TypeError, match="resolusion"):
        getattr(cells, maker)(0.2, resolusion=0.1) if maker != "fibre_array" else cells.fibre_array(resolusion=0.1)


def test_functions_of_many_words_show_them_all():
    """Own words before those of what a class of words builds on, each once and with its meaning."""
    shown = {
        cells.fibre_array: (FibreArray, FibreArrayOptions),
        cells.myocyte: (Myocytes, MyocyteOptions),
        cells.hexagonal_myocyte: (Myocytes, MyocyteOptions),
        cells.UnitCell.from_raw: (Making, MakingOptions),
        read_image: (ImageReading, ImageOptions),
        random_sequential_addition: (Many, ManyOptions),
        from_gmsh_raw: (GmshReading, GmshOptions),
        from_meshio_raw: (MeshioReading, MeshioOptions),
        read_body: (BodyReading, BodyOptions),
    }
    for function, (words, options) in shown.items():
        names = {field.name for field in fields(words)}
        assert set(inspect.signature(function).parameters) >= names
        hints, told = get_type_hints(words), get_type_hints(options)
        assert {name: hints[name] for name in names} == told, function
        for name in names:
            entry = re.compile(rf"^(\w+, )*{name}(, \w+)*$", re.MULTILINE)
            assert len(entry.findall(inspect.getdoc(function))) == 1, (function, name)
    assert list(inspect.signature(cells.fibre_array).parameters)[:4] == ["lattice", "comm", "fraction", "radius"]
    assert list(inspect.signature(cells.fibre_array).parameters)[-1] == "length_unit"


def test_a_run_shows_how_it_marches():
    parameters = inspect.signature(run_calcium).parameters
    names = [field.name for field in fields(CalciumSettings)]
    assert list(parameters)[-len(names) :] == names == list(CalciumOptions.__annotations__)
    assert [parameters[name].default for name in names] == [field.default for field in fields(CalciumSettings)]
    march_words = inspect.signature(march).parameters
    for name in ("checkpoint", "checkpoint_every", "resume", "observers"):
        assert parameters[name].default == march_words[name].default
