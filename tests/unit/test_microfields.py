"""Fields in the microstructure for a macroscopic load: their means, their growth, files and pictures."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import solve_diffusion
from homfem.cells.raw import cell_volumes
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.output.microfields import localise
from homfem.parameters import FileError, InputError
from made_cells import grid_cell

SKEW = [[1.0, 0.0], [0.3, 0.9]]
SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def corner(s):
    return ((s[:, 0] > 0.25) & (s[:, 1] > 0.5) & (s[:, 0] < 0.9)).astype(int)


def potential(comm=None, vectors=SKEW):
    cell = grid_cell((6, 5), corner, names=("a", "b"), vectors=vectors, **({} if comm is None else {"comm": comm}))
    solution = solve_diffusion(cell, {"a": 1.0, "b": 10.0}, bounds=False, rtol=1e-12)
    return solution.tensor, localise(solution.cell, solution.upper, [0.5, -2.0])


def displacement():
    cell = grid_cell((4, 4), corner, names=("a", "b"))
    solved = solve_correctors(cell, elasticity_problem(cell, elastic_coefficient(cell, SOLIDS)), rtol=1e-12)
    return solved.average, localise(cell, solved, [0.1, -0.2, 0.3])


def test_the_mean_flux_is_the_tensor_times_the_load():
    tensor, fields = potential()
    raw = fields.cell.raw
    mean = cell_volumes(raw) @ fields.flux / raw.lattice.volume
    assert mean == pytest.approx(tensor.value @ fields.load, abs=1e-8)
    average, fields = displacement()
    raw = fields.cell.raw
    mean = cell_volumes(raw) @ fields.flux / raw.lattice.volume
    assert mean == pytest.approx(average @ fields.load, abs=1e-8)


def test_over_a_period_the_field_grows_by_the_load():
    _, fields = potential()
    assert fields.growth[:, 0] == pytest.approx(np.array(SKEW) @ fields.load)
    raw, field, flux = fields.unfolded((2, 3))
    assert len(raw.cells) == 6 * len(fields.cell.raw.cells) == len(flux)
    # Wherever a node and its image one period further are both there, they differ by the growth.
    for k, vector in enumerate(np.array(SKEW)):
        place = {tuple(np.round(point, 9)): value for point, value in zip(raw.points, field, strict=True)}
        pairs = [(value, place[key]) for point, value in zip(raw.points, field, strict=True)
                 if (key := tuple(np.round(point + vector, 9))) in place]  # fmt: skip
        assert len(pairs) > 10
        steps = np.diff(np.array(pairs), axis=1)
        assert steps == pytest.approx(np.full_like(steps, fields.growth[k, 0]), abs=1e-9)


def test_a_strain_displaces_the_corners_of_the_cell_by_itself():
    _, fields = displacement()
    exx, eyy, gxy = fields.load
    assert fields.growth == pytest.approx(np.array([[exx, gxy / 2], [gxy / 2, eyy]]))
    assert fields.field.shape == (25, 2)


def test_files_and_pictures(tmp_path):
    _, fields = displacement()
    for path in fields.write(tmp_path / "cell.bp", 2):
        assert path.exists()
    fields.draw(tmp_path / "cell.png", (2, 1), deform=0.1)
    assert (tmp_path / "cell.png").stat().st_size > 10_000
    with pytest.raises(FileError):
        fields.write(tmp_path / "cell.csv")
    with pytest.raises(InputError, match="deform"):
        potential()[1].draw(tmp_path / "potential.png", deform=0.1)


def test_refused():
    _, fields = displacement()
    solved = solve_correctors(
        fields.cell, elasticity_problem(fields.cell, elastic_coefficient(fields.cell, SOLIDS)), rtol=1e-12
    )
    for load in ([1.0, 2.0], [1.0, np.nan, 0.0]):
        with pytest.raises(InputError, match="load"):
            localise(fields.cell, solved, load)
    stress = fields.cell.cell_function({"a": np.ones(3), "b": np.zeros(3)})
    problem = elasticity_problem(fields.cell, elastic_coefficient(fields.cell, SOLIDS), eigenstresses=[stress])
    with pytest.raises(InputError, match="macroscopic gradient"):
        localise(fields.cell, solve_correctors(fields.cell, problem), [0.0] * 4)


def case_fields(comm):
    _, fields = potential(comm, None)
    if comm.rank:
        return {"field": [], "flux": []}
    raw, field, _ = fields.unfolded(2)
    order = np.lexsort(np.round(raw.points, 9).T)
    middle = fields.cell.raw.points[fields.cell.raw.cells].mean(axis=1)
    return {
        "field": (field[order] - field[order[0]]).tolist(),
        "flux": fields.flux[np.lexsort(np.round(middle, 9).T)].tolist(),
    }


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    one, *others = on_ranks(case_fields)
    for other in others:
        for key in ("field", "flux"):
            assert np.array(other[key]) == pytest.approx(np.array(one[key]), abs=1e-7)
