"""What a two-scale study refuses, before anything is solved, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.cells import blocks, image_cell, laminate
from homfem.certify import Diffusion, Elasticity, Stokes
from homfem.grid import Image
from homfem.limits import BudgetError, MemoryLimitError
from homfem.parameters import InputError, PercolationError
from homfem.twoscale import SteadyProblem, TwoScaleMethod, two_scale_study
from homfem.twoscale.medium import make_medium
from homfem.twoscale.resolved import Resolved, bodies
from made_cells import checkerboard, grid_cell


@pytest.fixture(scope="module")
def cell():
    return blocks(["LLL", "LDL", "LLL"], widths=[0.2, 0.4, 0.4], resolution=0.33)


CONDUCTS = Diffusion(coefficients={"L": 1.0, "D": 2.0})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell": "cell.msh"}, ["cell = 'cell.msh'", "UnitCell"]),
        ({"problem": {"source": 1.0}}, ["problem", "homfem.twoscale.SteadyProblem"]),
        ({"problem": SteadyProblem(source=0.0)}, ["problem", "one whose solution varies"]),
        ({"method": "fast"}, ["method = 'fast'"]),
        ({"periods": (4, 2.5)}, ["periods[1] = 2.5", "eps is one over a whole number"]),
        ({"periods": (0.25,)}, ["periods[0] = 0.25"]),
        ({"periods": (0,)}, ["periods[0] = 0"]),
        ({"periods": ()}, ["periods"]),
        ({"periods": "48"}, ["periods = '48'"]),
        ({"periods": (8, 4)}, ["increase"]),
        ({"periods": (4, 4)}, ["increase"]),
        ({"physics": Stokes(fluid="L")}, ["physics", "homfem.certify.Diffusion"]),
        ({"physics": Diffusion(coefficients={"L": 1.0}, boundary="affine")}, ["physics.boundary", "'periodic'"]),
        ({"physics": Diffusion(coefficients={"L": 1.0, "D": 1.0}, membranes={"L|D": 1.0})}, ["physics.membranes"]),
        ({"physics": Diffusion(coefficients={"M": 1.0})}, ["phase = 'M'"]),
        ({"physics": Diffusion(coefficients={})}, ["physics"]),
        ({"physics": Diffusion(coefficients={"L": -1.0})}, ["coefficients['L'] = -1.0"]),
        ({"problem": SteadyProblem(held={"left": 0.0})}, ["held = 'left'", "x-low"]),
        ({"problem": SteadyProblem(held={"z-low": 0.0})}, ["held = 'z-low'"]),
        ({"problem": SteadyProblem(held={"x-low": np.nan})}, ["held.x-low"]),
        ({"problem": SteadyProblem(held={"x-low": "one"})}, ["held.x-low"]),
        ({"problem": SteadyProblem(source={"M": 1.0})}, ["source = 'M'"]),
        ({"problem": SteadyProblem(source=[1.0, 2.0])}, ["source", "1 of them"]),
        ({"problem": SteadyProblem(source=lambda x: x)}, ["source"]),
        ({"problem": SteadyProblem(source=lambda x: np.inf * x[0])}, ["source"]),
    ],
)  # fmt: skip
def test_bad_input(cell, changes, words):
    given = {"cell": cell, "physics": CONDUCTS, "periods": (2,)} | changes
    with pytest.raises(InputError) as error:
        two_scale_study(given.pop("cell"), given.pop("physics"), given.pop("problem", None), **given)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [{"degree": 3}, {"margin": 0.5}, {"margin": 0.0}, {"samples": -1}, {"rtol": 0.1}, {"max_dofs": 0}, {"seed": -1},
     {"elements": 2}],
)  # fmt: skip
def test_bad_method(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        TwoScaleMethod(**changes)


def test_a_solid_without_a_side_that_is_held(cell):
    solid = Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}, "D": {"young": 1.0, "poisson": 0.3}})
    with pytest.raises(InputError, match="moves away"):
        two_scale_study(cell, solid, SteadyProblem(source=0.0, held={}), periods=(2,))


def test_too_many_unknowns_are_told_with_their_number(cell, monkeypatch):
    def never(*_):
        raise AssertionError("it was begun")

    own = make_medium(cell, CONDUCTS).dofs
    monkeypatch.setattr("homfem.twoscale.study.solve_limit", never)
    monkeypatch.setattr("homfem.twoscale.study.Resolved", never)
    with pytest.raises(BudgetError) as error:
        two_scale_study(cell, CONDUCTS, periods=(2, 1000))
    assert "periods = 1000" in str(error.value)
    assert str(own * 1000**2) in str(error.value)


def test_too_much_memory_is_told(cell, monkeypatch):
    monkeypatch.setenv("HOMFEM_MEMORY", "20 MB")
    with pytest.raises(MemoryLimitError, match="periods = 100"):
        two_scale_study(cell, CONDUCTS, periods=(100,), method=TwoScaleMethod(max_dofs=10**9))


def test_the_unknowns_that_are_told_are_no_fewer_than_there_are(cell):
    for degree in (1, 2):
        medium = make_medium(cell, CONDUCTS, degree=degree)
        dofs = Resolved(medium, 4).dofs
        assert dofs <= 16 * medium.dofs < 1.4 * dofs


@pytest.mark.parametrize("active", [{"D": 1.0}, {"layer1": 1.0}, {"L": 1.0, "D": 1.0}])
def test_phases_that_are_not_one_body(active):
    if "layer1" in active:
        bad = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.33)
    elif "L" in active:  # an island in a hole
        bad = blocks(["LLLLL", "LVVVL", "LVDVL", "LVVVL", "LLLLL"], resolution=0.1)
    else:
        bad = blocks(["LLL", "LDL", "LLL"], resolution=0.33)
    with pytest.raises(PercolationError, match="one connected body"):
        two_scale_study(bad, Diffusion(coefficients=active), periods=(2,))


def test_a_cell_that_is_no_box():
    oblique = grid_cell([4, 4], checkerboard, vectors=[[1.0, 0.0], [0.5, 1.0]])
    with pytest.raises(InputError, match="sides of a box"):
        two_scale_study(oblique, Diffusion(coefficients=dict.fromkeys(oblique.phase_names, 1.0)), periods=(2,))


def test_elements_that_are_no_straight_simplices():
    squares = image_cell(Image.from_labels(np.arange(16).reshape(4, 4) % 3 == 0, {"a": 0, "b": 1}), elements="voxel")
    physics = Diffusion(coefficients=dict.fromkeys(squares.phase_names, 1.0))
    with pytest.raises(InputError, match="straight simplices"):
        two_scale_study(squares, physics, periods=(2,))


def test_a_box_that_cuts_something_off():
    """One body on the torus, of which corners of a box hang together with the rest only beyond its faces."""
    cut = blocks(["LVLVV", "LVLVV", "LLLLL", "VVLVV", "LVLVV"], resolution=0.1)
    medium = make_medium(cut, Diffusion(coefficients={"L": 1.0}))
    assert bodies(medium.raw, [3, 3]) > 1
    with pytest.raises(InputError, match="low corner elsewhere"):
        Resolved(medium, 3)
