"""The unit of a mesh against the length of the wave: what cannot be meant is said."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.macro.extent import bounding_box, check_extent
from homfem.parameters import InputError


def slab(side: float, unit: str, comm: MPI.Comm = MPI.COMM_SELF) -> Domain:
    made = mesh.create_box(comm, [[-1.0, 0, 2], [side - 1.0, 0.35 * side, 2 + 0.15 * side]], [4, 2, 1])
    return Domain(mesh=made, unit=unit)


def case_box(comm: MPI.Comm) -> dict:
    return {"box": bounding_box(slab(20.0, "mm", comm)).tolist(), "waves": check_extent(slab(20.0, "mm", comm), 180.0)}


def test_the_box_is_that_of_all_ranks(on_ranks, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="homfem"):
        for found in on_ranks(case_box):
            assert np.array(found["box"]) == pytest.approx(np.array([[-1.0, 0.0, 2.0], [19.0, 7.0, 5.0]]))
            assert found["waves"] == pytest.approx(20.0 / 180.0)
    assert not caplog.records


@pytest.mark.parametrize(
    ("side", "unit", "wave", "said"),
    [
        (20.0, "m", 0.18, "20 m long, 1.1e+02 lengths of the wave (0.18 m)"),  # mm was meant
        (20.0, "um", 180e3, "20 um long, 0.00011 lengths of the wave"),
        (20e3, "mm", 180.0, "2e+04 mm long"),  # um was meant, as in the files of openCARP
    ],
)
def test_a_unit_that_cannot_be_meant_is_said(caplog: pytest.LogCaptureFixture, side, unit, wave, said) -> None:
    with caplog.at_level(logging.WARNING, logger="homfem"):
        check_extent(slab(side, unit), wave)
    (record,) = caplog.records
    assert said in record.getMessage()
    fits = "'um'" if unit == "mm" else "'mm'"
    assert f"in {fits} it would be 0.11" in record.getMessage().lower()


@pytest.mark.parametrize(("side", "unit", "wave"), [(1.0, "mm", 180.0), (150.0, "mm", 200.0), (0.3, "m", 0.2)])
def test_hearts_and_pieces_of_tissue_pass(caplog: pytest.LogCaptureFixture, side, unit, wave) -> None:
    with caplog.at_level(logging.WARNING, logger="homfem"):
        check_extent(slab(side, unit), wave)
    assert not caplog.records


def test_a_wave_has_a_length() -> None:
    with pytest.raises(InputError, match="wave_length = 0"):
        check_extent(slab(1.0, "mm"), 0.0)
