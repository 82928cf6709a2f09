"""Membranes: names and refusals, groups of phases, islands behind them, the same on every rank."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import homogenize_diffusion, solve_diffusion
from homfem.cells import myocyte
from homfem.local.membranes import check_membranes, find_membranes
from homfem.parameters import InputError, PercolationError
from homfem.tensors import EffectiveTensor
from made_cells import grid_cell, square

BOTH = {"a": 1.0, "b": 5.0}


def layers(s):
    return np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [0, 1], default=2)


@pytest.mark.parametrize(
    ("membranes", "words"),
    [
        ({"a|d": 1.0}, "'a|b'"),
        ({"a|b": 0.0}, "leave one of them out"),
        ({"a|b": -1.0}, "> 0"),
        ({"a|b": np.inf}, "finite"),
        ({"a|b": "fast"}, "finite number"),
        ({"a|b": 1.0, "b|a": 1.0}, "order"),
        ({"period-1": 1.0}, "'a|b'"),
    ],
)
def test_names_and_permeabilities_are_checked(membranes, words):
    with pytest.raises(InputError, match="membrane") as caught:
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes=membranes)
    assert words in str(caught.value)


def test_a_membrane_towards_a_phase_that_insulates():
    with pytest.raises(InputError, match="'b' has no coefficient"):
        homogenize_diffusion(grid_cell((4, 4), square), {"a": 1.0}, membranes={"a|b": 1.0})


def test_a_membrane_that_ends_inside():
    """a|b is a membrane, but both touch c."""
    with pytest.raises(InputError, match="cannot end inside") as caught:
        homogenize_diffusion(grid_cell((4, 4), layers), {"a": 1.0, "b": 1.0, "c": 1.0}, membranes={"a|b": 1.0})
    assert "a|b|c are in perfect contact" in str(caught.value)


def test_other_backends_are_refused():
    with pytest.raises(InputError, match="identified"):
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"a|b": 1.0}, backend="multipoint")


@pytest.mark.parametrize("boundary", ["affine", "flux", "mixed"])
def test_other_boundaries_are_refused(boundary):
    with pytest.raises(InputError, match="boundary = 'periodic'"):
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"a|b": 1.0}, boundary=boundary)


def test_an_island_behind_a_membrane_stays():
    """Left alone it percolates nowhere; behind a membrane it carries flux."""
    cell = grid_cell((8, 8), square)
    with pytest.raises(PercolationError):
        homogenize_diffusion(cell, {"b": 5.0})
    solution = solve_diffusion(cell, BOTH, membranes={"b|a": 2.0})
    assert set(solution.cell.phase_names) == {"a", "b"}
    assert solution.tensor.active_phases == ("a", "b")
    assert solution.tensor.value[0, 0] > homogenize_diffusion(cell, {"a": 1.0}).value[0, 0] + 0.1


def test_the_result_says_what_the_membranes_are(tmp_path):
    tensor = homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"b|a": 2.0}, unit="um^2/s")
    assert tensor.membranes == {"a|b": 2.0}
    assert "membranes: a|b 2 um^2/s/um" in str(tensor)
    assert EffectiveTensor.from_json(tensor.to_json()).membranes == {"a|b": 2.0}


def test_groups_and_their_fields():
    cell = grid_cell((4, 3, 3), layers, length=3.0)
    membranes = find_membranes(cell, check_membranes(cell, cell.phase_names, {"b|a": 2.0, "a|c": 5.0}))
    assert membranes.groups == (("a",), ("b", "c"))
    assert membranes.links == ((0, 1, 6.0), (0, 1, 15.0))
    assert len(membranes.facets) == 2 * 3 * 3 * 2


def test_heart_muscle_cells_behind_their_sarcolemma():
    """The junctions join the cells. Sarcolemma and the junctions' sides are membranes, their ends are not."""
    cell = myocyte(30.0, 12.0, 12.0, 4.0, resolution=1 / 3, side_patch=0.5)
    conduct = {"intracellular": 0.4, "junction": 0.02, "extracellular": 1.0}
    sarcolemma = ("intracellular|extracellular", "junction|extracellular")
    solution = solve_diffusion(cell, conduct, membranes=dict.fromkeys(sarcolemma, 1e-7), degree=1)
    groups = [set(field.phases) for field in solution.upper.problem.fields]
    assert groups == [{"intracellular", "junction"}, {"extracellular"}]
    apart = [
        homogenize_diffusion(cell, {name: conduct[name] for name in names}, degree=1)
        for names in (("intracellular", "junction"), ("extracellular",))
    ]
    assert np.abs(solution.tensor.upper - sum(part.upper for part in apart)).max() < 1e-5
    assert np.abs(solution.tensor.lower - sum(part.lower for part in apart)).max() < 1e-5


def case_everything(comm):
    from homfem.cells import fibre_array

    cell = fibre_array("square", fraction=0.3, resolution=0.1, comm=comm)
    options = {"membranes": {"fibre|matrix": 3.0}, "rtol": 1e-12}
    tensor = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0}, tolerance=2e-3, degree=1, **options)
    slab = homogenize_diffusion(
        grid_cell((4, 3, 3), layers, comm=comm), {"a": 1.0, "b": 5.0, "c": 0.2}, membranes={"a|b": 1.0, "a|c": 2.0}
    )
    return {
        "bounds": [tensor.lower.tolist(), tensor.upper.tolist()],
        "slab": [slab.lower.tolist(), slab.upper.tolist()],
        "dofs": [tensor.dofs, slab.dofs],
        "geometric_error": tensor.geometric_error,
    }


@pytest.mark.mpi
def test_the_same_on_every_rank(on_ranks):
    answers = on_ranks(case_everything)
    for answer in answers:
        for name in ("bounds", "slab"):
            assert np.abs(np.array(answer[name]) - np.array(answers[0][name])).max() < 1e-8
        assert answer["dofs"] == answers[0]["dofs"]
        assert answer["geometric_error"] == pytest.approx(answers[0]["geometric_error"], rel=1e-5)
