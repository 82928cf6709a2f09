"""Struts: closed forms against points and published constants, meshes and areas, tensors between bounds, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem import homogenize_diffusion, three_pipe
from homfem.cells.struts import struts
from homfem.meshing.cut.background import angles
from homfem.meshing.shapes.struts import KINDS, strut_fraction, strut_thickness
from homfem.parameters import CellError, InputError

LARGEST = {"cubic": 1.0, "body-centred": 1 / math.sqrt(2), "octet": 1 / math.sqrt(6)}


def segments(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Ends of all struts near the unit cube: pairs of nearest points of the simple, body- or face-centred lattice."""
    corners = np.array(list(itertools.product(range(-1, 3), repeat=3)), dtype=float)
    extra = {"cubic": [[0, 0, 0]], "body-centred": [[0, 0, 0], [0.5, 0.5, 0.5]]}
    extra["octet"] = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    points = np.concatenate([corners + np.array(shift) for shift in extra[kind]])
    apart = {"cubic": 1.0, "body-centred": math.sqrt(0.75), "octet": math.sqrt(0.5)}[kind]
    i, j = np.triu_indices(len(points), 1)
    close = np.abs(np.linalg.norm(points[i] - points[j], axis=1) - apart) < 1e-9
    a, b = points[i[close]], points[j[close]]
    near = (np.maximum(a, b).min(axis=1) > -0.6) & (np.minimum(a, b).max(axis=1) < 1.6)
    return a[near], b[near]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_closed_forms_count_points(kind, share):
    """Up to the thickness at which struts touch that do not cross, against points of a Sobol sequence."""
    thick = share * LARGEST[kind]
    points = scipy.stats.qmc.Sobol(3, seed=5).random(2**14)
    hit = np.zeros(len(points), dtype=bool)
    for a, b in zip(*segments(kind), strict=True):
        along = (b - a) / np.linalg.norm(b - a)
        place = (points - a) @ along
        off = np.linalg.norm(points - a - place[:, None] * along, axis=1)
        hit |= (off < thick / 2) & (place >= 0) & (place <= np.linalg.norm(b - a))
    assert strut_fraction(kind, thick) == pytest.approx(hit.mean(), abs=4e-3)
    assert strut_thickness(kind, strut_fraction(kind, thick)) == pytest.approx(thick, rel=1e-12)


def test_closed_forms_have_the_published_constants():
    """Octet truss of radius a and length l: 6 sqrt(2) pi (a/l)^2 - 54.6 (a/l)^3; three cylinders by inclusion."""
    a, length = 0.05, math.sqrt(0.5)
    c = (6 * math.sqrt(2) * math.pi * (a / length) ** 2 - strut_fraction("octet", 2 * a)) / (a / length) ** 3
    assert c == pytest.approx(54.6, abs=0.05)
    # Cubic: 3 pairs of 16/3 r^3, less 8 (2 - sqrt 2) r^3 that three cylinders share.
    r = 0.3
    expected = 3 * math.pi * r**2 - 3 * 16 / 3 * r**3 + 8 * (2 - math.sqrt(2)) * r**3
    assert strut_fraction("cubic", 2 * r) == pytest.approx(expected, rel=1e-14)


@settings(max_examples=6, deadline=None)
@given(thick=st.floats(0.05, 0.95))
def test_square_struts_are_exact(thick):
    cell = struts(thickness=thick, section="square", resolution=1 / 3)
    assert cell.volume_fractions["strut"] == pytest.approx(3 * thick**2 - 2 * thick**3, abs=1e-12)
    assert cell.interface_area == pytest.approx(12 * thick * (1 - thick), abs=1e-11)
    assert cell.connectivity["strut"].rank == cell.connectivity["pore"].rank == 3
    again = struts(fraction=3 * thick**2 - 2 * thick**3, section="square", resolution=1 / 3)
    assert again.volume_fractions["strut"] == pytest.approx(cell.volume_fractions["strut"], abs=1e-12)


def test_square_struts_are_crossing_pipes():
    ours = homogenize_diffusion(struts(thickness=0.3, section="square", resolution=0.2), {"strut": 1.0, "pore": 0.1})
    pipes = homogenize_diffusion(three_pipe(0.3, resolution=0.2), {"er": 1.0, "cytosol": 0.1})
    assert np.linalg.eigvalsh(ours.upper - pipes.lower)[0] > 0.0
    assert np.linalg.eigvalsh(pipes.upper - ours.lower)[0] > 0.0


@pytest.mark.parametrize("thick", [0.1, 0.3, 0.6, 0.9])
def test_round_cubic_struts_have_their_volume_and_area(thick):
    cell = struts(thickness=thick, resolution=0.1, period=2.0, length_unit="mm")
    r = thick / 2
    assert cell.volume_fractions["strut"] == pytest.approx(3 * math.pi * r**2 - 8 * math.sqrt(2) * r**3, abs=1e-12)
    # The surface moves out along its normal with r: the area is the derivative of the volume.
    assert cell.interface_area * 2.0 == pytest.approx(6 * math.pi * r - 24 * math.sqrt(2) * r**2, rel=0.035)
    assert set(cell.facets) == {"strut|pore", "period-1", "period-2", "period-3"}
    assert cell.phase_names == ("strut", "pore")
    assert cell.periods == pytest.approx((2.0, 2.0, 2.0))
    assert cell.connectivity["strut"].rank == cell.connectivity["pore"].rank == 3
    smallest, largest = angles(cell.raw.points, cell.raw.cells)
    assert smallest.min() > 5.0
    assert largest.max() < 160.0


def test_struts_that_meet_in_mirror_planes():
    """Their joints lie in these planes, where nodes stay: the volume is exact, the area of second order."""
    r, errors = 0.2, []
    area = 6.0 * math.pi * r - 24.0 * math.sqrt(2.0) * r**2
    for size in (0.25, 0.125):
        cell = struts("cubic", thickness=2.0 * r, resolution=size, mirrors="auto")
        errors.append(abs(cell.interface_area / area - 1.0))
        assert cell.volume_fractions["strut"] == pytest.approx(strut_fraction("cubic", 2.0 * r), abs=1e-12)
    assert errors[1] < min(0.02, 0.4 * errors[0])


def test_the_area_converges():
    exact = 6 * math.pi * 0.3 - 24 * math.sqrt(2) * 0.3**2
    errors = [struts(thickness=0.6, resolution=h).interface_area / exact - 1 for h in (0.2, 0.1)]
    assert 0.0 < errors[1] < 0.5 * errors[0] < 0.02


def test_round_struts_conduct_alike_along_all_axes_and_between_the_bounds():
    cell = struts(fraction=0.2, resolution=0.125)
    phi = 0.2
    assert cell.volume_fractions["strut"] == pytest.approx(phi, abs=1e-12)
    alone = homogenize_diffusion(cell, {"strut": 1.0}, degree=1, lower_degree=0)
    # Insulating tubes: the strut straight through; the upper bound of Hashin and Shtrikman of a phase on its own.
    assert math.pi * strut_thickness("cubic", phi) ** 2 / 4 < alone.lower[0, 0] + 0.01
    assert alone.lower[0, 0] < 2 * phi / (3 - phi)
    assert alone.value[1, 1] == pytest.approx(alone.value[0, 0], rel=0.02)
    assert alone.value[2, 2] == pytest.approx(alone.value[0, 0], rel=0.02)
    both = homogenize_diffusion(cell, {"strut": 10.0, "pore": 1.0}, degree=1, lower_degree=0)
    high = 10.0 + (1 - phi) / (1 / (1.0 - 10.0) + phi / 30.0)
    low = 1.0 + phi / (1 / 9.0 + (1 - phi) / 3.0)
    assert low < both.value[0, 0] < high


@pytest.mark.parametrize(
    ("kind", "thick", "fillet", "mesh"),
    [
        ("body-centred", 0.4, 0.1, {"resolution": 0.25, "refinement": 1}),
        ("octet", 0.26, 0.07, {"resolution": 0.1}),
    ],
)
def test_fillets_add_a_little_and_join(kind, thick, fillet, mesh):
    cell = struts(kind, thickness=thick, fillet=fillet, **mesh)
    sharp = strut_fraction(kind, thick)
    assert sharp < cell.volume_fractions["strut"] < sharp + 0.05
    assert cell.connectivity["strut"].rank == cell.connectivity["pore"].rank == 3
    assert len(cell.connectivity["strut"].parts) == 1


def test_small_fillets_leave_the_closed_form():
    """The gap to sharp joints goes with the square of the fillet, as does the section of a fillet."""
    sharp = strut_fraction("cubic", 0.6)
    added = [
        struts(thickness=0.6, fillet=rho, resolution=0.1).volume_fractions["strut"] - sharp for rho in (0.075, 0.15)
    ]
    assert added[1] / added[0] == pytest.approx(4.0, rel=0.15)


def test_a_mesh_too_coarse_for_the_fillets_is_refused():
    with pytest.raises(CellError, match="resolved by the mesh"):
        struts("octet", thickness=0.12, fillet=0.03, resolution=0.2)


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [
        ("diamond", {"thickness": 0.1}, "kind"),
        ("cubic", {"thickness": 0.1, "section": "flat"}, "section"),
        ("octet", {"thickness": 0.1, "section": "square"}, "section"),
        ("cubic", {}, "thickness"),
        ("cubic", {"thickness": 0.1, "fraction": 0.1}, "thickness"),
        ("cubic", {"thickness": 1.0}, "thickness"),
        ("cubic", {"thickness": 0.0}, "thickness"),
        ("body-centred", {"thickness": 0.71, "fillet": 0.01}, "thickness"),
        ("octet", {"thickness": 0.41, "fillet": 0.01}, "thickness"),
        ("octet", {"thickness": 0.2}, "fillet"),
        ("body-centred", {"thickness": 0.2}, "fillet"),
        ("cubic", {"thickness": 0.2, "fillet": -0.1}, "fillet"),
        ("cubic", {"thickness": 0.6, "fillet": 0.2}, "fillet"),
        ("cubic", {"thickness": 0.6, "fillet": 0.1, "section": "square"}, "fillet"),
        ("cubic", {"fraction": 0.3, "fillet": 0.1}, "fraction"),
        ("cubic", {"fraction": 0.99}, "fraction"),
        ("cubic", {"fraction": 1.0, "section": "square"}, "fraction"),
        ("cubic", {"fraction": 0.0}, "fraction"),
        ("cubic", {"thickness": 0.3, "resolution": 0.5}, "resolution"),
        ("cubic", {"thickness": 0.3, "refinement": -1}, "refinement"),
        ("cubic", {"thickness": 0.3, "period": 0.0}, "period"),
        ("cubic", {"thickness": 0.3, "order": 2}, "order"),
    ],
)
def test_bad_input_is_refused(kind, arguments, name):
    with pytest.raises(InputError) as caught:
        struts(kind, **arguments)
    assert caught.value.name == name
