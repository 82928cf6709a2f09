"""Tables of cells: interpolated tensors with bounds that are proved, kept in files, as tensors by region."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem import homogenize_diffusion, three_pipe
from homfem.certify import homogenize_family
from homfem.macro.domain import Domain
from homfem.macro.graded import graded_tissue
from homfem.parameters import FileError, InputError
from homfem.tensors import EffectiveTensor
from homfem.tensors.family import TensorFamily

EDGES = [0.2, 0.3, 0.4, 0.5]
BOTH = {"er": 220.0, "cytosol": 110.0}
LOW = {"degree": 1, "symmetry": "auto"}
CALLS = []


def pipes(edge):
    CALLS.append(edge)
    return three_pipe(edge, resolution=1 / 3)


@pytest.fixture(scope="module")
def family():
    return homogenize_family(pipes, EDGES, BOTH, grows="er", **LOW)


@pytest.mark.parametrize("edge", [0.22, 0.25, 0.36, 0.49])
def test_between_the_points_the_bounds_hold_and_the_value_is_near(family, edge):
    fraction = 3 * edge**2 - 2 * edge**3
    found = family.at("er", fraction)
    again = family.at("cytosol", 1.0 - fraction)
    cell = three_pipe(edge, resolution=0.2)
    for phase, diffusivity in BOTH.items():
        theirs = homogenize_diffusion(cell, {phase: diffusivity}, tolerance=5e-3, symmetry="auto")
        ours = found[phase]
        assert ours.lower[0, 0] < theirs.lower[0, 0]
        assert theirs.upper[0, 0] < ours.upper[0, 0]
        assert ours.value[0, 0] == pytest.approx(theirs.value[0, 0], rel=0.02)
        assert ours.active_fraction == pytest.approx(theirs.active_fraction, abs=1e-12)
        assert ours.interface_area == pytest.approx(theirs.interface_area, rel=0.02)
        assert again[phase].value == pytest.approx(ours.value, rel=1e-9)
        assert "bounds of a nested family" in ours.warnings[-1]


def test_at_the_points_the_tensors_are_those_of_the_table(family):
    for k, fraction in enumerate(family.fractions("er")):
        assert family.at("er", fraction)["cytosol"] is family.tensors["cytosol"][k]
    for fraction in (0.05, 0.6, float("nan")):
        with pytest.raises(InputError, match="fraction"):
            family.at("er", fraction)


def test_what_is_not_nested_has_no_bounds(family):
    loose = dataclasses.replace(family, grows=None)
    found = loose.at("er", 0.25)["er"]
    assert (found.lower, found.upper) == (None, None)
    assert found.value == pytest.approx(family.at("er", 0.25)["er"].value)
    assert "not guaranteed" in found.warnings[-1]
    with pytest.raises(InputError, match="grows"):
        dataclasses.replace(family, grows="cytosol")
    with pytest.raises(InputError, match="rise"):
        dataclasses.replace(family, points=(0.2, 0.4, 0.3, 0.5))
    with pytest.raises(InputError, match="one tensor for each"):
        dataclasses.replace(family, points=(0.2, 0.3))
    with pytest.raises(InputError, match="volume fractions rise or fall"):
        dataclasses.replace(family, tensors={"er": family.tensors["er"][:1] * 4})


def test_a_nested_family_whose_tensors_contradict_it_is_refused():
    def one(fraction, value):
        matrix = value * np.eye(2)
        return EffectiveTensor(
            value=matrix,
            lower=0.99 * matrix,
            upper=1.01 * matrix,
            volume_fractions={"a": fraction},
            active_phases=("a",),
        )

    given = {"parameter": "edge", "points": (0.1, 0.2), "grows": "a"}
    TensorFamily(tensors={"a": (one(0.1, 1.0), one(0.2, 1.0))}, **given)
    with pytest.raises(InputError, match="grows"):
        TensorFamily(tensors={"a": (one(0.1, 1.0), one(0.2, 0.9))}, **given)


def test_a_table_is_solved_once(tmp_path, family):
    file = tmp_path / "pipes.json"
    CALLS.clear()
    first = homogenize_family(pipes, EDGES[:2], BOTH, grows="er", file=file, **LOW)
    assert EDGES[:2] == CALLS
    second = homogenize_family(pipes, EDGES[:2], BOTH, grows="er", file=file, **LOW)
    assert len(CALLS) == 2
    assert second.tensors["er"][1] == first.tensors["er"][1]
    assert second.at("er", 0.15)["er"].upper == pytest.approx(first.at("er", 0.15)["er"].upper)
    # Of other diffusivities it is another table, and a file that is none is replaced.
    third = homogenize_family(pipes, EDGES[:2], {"er": 440.0}, grows="er", file=file, **LOW)
    assert third.tensors["er"][0].value == pytest.approx(2.0 * first.tensors["er"][0].value, rel=1e-6)
    assert len(CALLS) == 4
    file.write_text("{}")
    with pytest.raises(FileError, match="a table of cells"):
        TensorFamily.from_json(file)
    homogenize_family(pipes, EDGES[:2], {"er": 440.0}, grows="er", file=file, **LOW)
    assert TensorFamily.from_json(file).fractions("er") == pytest.approx(family.fractions("er")[:2])
    with pytest.raises(FileError, match="exists"):
        TensorFamily.from_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="number or a matrix"):
        homogenize_family(pipes, EDGES[:2], {"er": lambda x: 1.0 + x[0]}, file=file, **LOW)


def test_a_graded_tissue(family):
    line = Domain(mesh=mesh.create_interval(MPI.COMM_SELF, 64, [0.0, 10.0]), unit="um")
    low, high = family.fractions("er")[0], family.fractions("er")[-1]
    profile = lambda x: low + (high - low) * x[0] / 10.0  # noqa: E731
    graded = graded_tissue(line, family, "er", profile, levels=4)
    assert list(graded.domain.regions) == list(graded.tensors["er"]) == [f"level{k}" for k in (1, 2, 3, 4)]
    width = (high - low) / 4
    for k, (region, fraction) in enumerate(graded.fractions.items()):
        assert fraction == pytest.approx(low + (k + 0.5) * width, rel=0.02)
        assert graded.tensors["er"][region].active_fraction == pytest.approx(fraction)
        assert graded.tensors["cytosol"][region].active_fraction == pytest.approx(1.0 - fraction)
    sizes = [
        len(graded.domain.cells_of(region)) if hasattr(graded.domain, "cells_of") else 16 for region in graded.fractions
    ]
    assert sizes == [16, 16, 16, 16]
    assert list(graded_tissue(line, family, "er", lambda x: 0.3 + 0 * x[0]).fractions.values()) == [0.3]
    with pytest.raises(InputError, match="finite"):
        graded_tissue(line, family, "er", lambda x: np.nan * x[0])
    with pytest.raises(InputError, match="those of the table"):
        graded_tissue(line, family, "er", lambda x: x[0])
