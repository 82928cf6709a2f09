"""Leads: closed forms of the pseudo-ECG, recovered potentials and their lead fields, series in files."""

from __future__ import annotations

import csv
import math

import h5py
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from given_fields import Given
from homfem.kinds import CONDUCTIVITY
from homfem.macro.coefficients import cell_function, tensor_coefficient
from homfem.macro.domain import Domain
from homfem.macro.ecg import kernel_integrals, pseudo_ecg
from homfem.macro.fibres import FibreFrame
from homfem.macro.leads import Leads, LeadSeries, standard_leads
from homfem.macro.march import march
from homfem.macro.recovery import Recovery
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, InputError
from homfem.timestepping import TimeGrid

AROUND = {"outside": (1.7, 0.4, 0.3), "far": (-9.0, 4.0, 7.0), "close": (1.02, 0.35, 0.61)}


def box(comm, n=4, degree=1, d=3):
    make = {2: mesh.create_unit_square, 3: mesh.create_unit_cube}[d]
    made = make(comm, *[n] * d)
    return Domain(mesh=made, unit="mm"), fem.functionspace(made, ("Lagrange", degree))


def ball(comm, n):
    """The unit ball: the cube with its rays stretched."""
    made = mesh.create_box(comm, [[-1] * 3, [1] * 3], [n] * 3)
    x = made.geometry.x
    length = np.linalg.norm(x, axis=1)
    x[:] *= (np.abs(x).max(axis=1) / np.where(length > 0, length, 1.0))[:, None]
    return Domain(mesh=made, unit="mm"), fem.functionspace(made, ("Lagrange", 1))


def owned(function):
    return function.x.array[: function.function_space.dofmap.index_map.size_local]


def nodal(space, formula):
    function = fem.Function(space)
    function.interpolate(formula)
    return owned(function)


def test_the_mean_of_the_kernel_is_that_of_an_integral_in_polar_coordinates():
    """Over cones from the electrode to the facets r^2 dr cancels 1/r^2: outside, inside, on an edge and at a corner."""
    import basix

    places, weights = basix.make_quadrature(basix.CellType.triangle, 60)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.2, 1.0, 0.1], [0.1, 0.3, 0.9]])
    for point in ([0.3, 0.3, 0.3], [1.5, 0.5, 0.7], [0.5, 0.05, 0.0], [0.0, 0.0, 0.0], [-0.3, -0.03, 0.0]):
        exact = np.zeros(3)
        for k in range(4):
            face = np.delete(corners, k, axis=0) - point
            y = face[0] + places @ (face[1:] - face[0])
            volume, whole = np.linalg.det(face), np.linalg.det(np.delete(corners, k, axis=0) - corners[k])
            inward = weights @ (-y / np.maximum(np.linalg.norm(y, axis=1), 1e-300)[:, None] ** 3)
            exact += volume * np.sign(whole) * inward if abs(volume) > 1e-12 else 0.0
        found = kernel_integrals(corners[None], np.array(point))[0]
        assert found == pytest.approx(exact, abs=2e-7 if point == [1.5, 0.5, 0.7] else 2e-6), point


def case_box(comm, near):
    """sigma_i isotropic, V = 0 on the boundary, any V inside: nothing outside, -sigma_i/sigma_b V(x) inside."""
    domain, space = box(comm)
    bump = nodal(space, lambda x: np.prod(np.sin(np.pi * x), axis=0) * (1 + x[0] + np.sin(40 * x[1] * x[2])))
    inside = {"node": (0.5, 0.25, 0.75), "in": (0.3, 0.41, 0.37), "face": (0.375, 0.375, 0.1)}
    leads = pseudo_ecg(domain, space, fem.Constant(domain.mesh, 0.3), AROUND | inside, bath=2.0, near=near)
    at = Recovery(domain, space, intracellular=fem.Constant(domain.mesh, 1.0),
                  extracellular=fem.Constant(domain.mesh, 1.0))._at_points(
        {name: np.array(point) for name, point in inside.items()}
    )  # fmt: skip
    values = [comm.allreduce(float(at[name] @ bump)) for name in inside]
    return [leads(bump).tolist(), values]


@pytest.mark.mpi
@pytest.mark.parametrize(("near", "tolerance"), [(math.inf, 1e-13), (4.0, 2e-6)])
def test_closed_fronts_are_silent_outside_and_seen_inside(on_ranks, near, tolerance):
    for found, values in on_ranks(case_box, near=near):
        assert found[:3] == pytest.approx([0.0] * 3, abs=tolerance)
        assert found[3:] == pytest.approx([-0.3 / 2.0 * value for value in values], abs=tolerance)
        assert max(map(abs, values)) > 0.3


def test_a_linear_potential_in_a_ball_is_a_dipole():
    """-a^3/3 m.x/|x|^3 outside, -m.x/3 inside, with the moment m = sigma_i G/sigma_b, which a tensor turns."""
    sigma = np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.05, 0.1]])
    gradient = np.array([1.0, -2.0, 0.5])
    moment = sigma @ gradient / 1.4
    places = {"a": (1.5, 0.7, -0.4), "b": (0.0, 0.0, 4.0), "c": (0.2, -0.3, 0.1)}
    exact = [-(moment @ np.array(x)) / 3.0 / max(1.0, np.linalg.norm(x) ** 3) for x in places.values()]
    errors = []
    for n in (4, 8):
        domain, space = ball(MPI.COMM_SELF, n)
        leads = pseudo_ecg(domain, space, fem.Constant(domain.mesh, sigma), places, bath=1.4)
        found = leads(nodal(space, lambda x: gradient @ x))
        errors.append(np.abs(found - exact).max() / np.abs(exact).max())
    assert errors[1] < 0.03
    assert errors[0] / errors[1] > 3.5


def case_same(comm):
    """Fibres that vary, degrees 1 and 2: quadrature alone, and with exact means; the same on any ranks."""
    domain, _ = box(comm, 3)
    turned = lambda x: np.stack([np.cos(x[1]), np.sin(x[1]), 0 * x[0]])  # noqa: E731
    domain = domain.with_fibres(FibreFrame.of_nodes(domain.mesh, turned))
    sigma = tensor_coefficient("s", domain, np.diag([0.3, 0.05, 0.05]), CONDUCTIVITY, unit="mS/mm", axes="fibre")
    places = {"near": (1.3, 0.5, 0.5), "far": (6.0, 1.0, 2.0)}
    found = []
    for degree in (1, 2):
        space = fem.functionspace(domain.mesh, ("Lagrange", degree))
        v = fem.Function(space)
        v.interpolate(lambda x: np.tanh(2.0 * (x[0] - 0.4)) + x[1])
        found.append(pseudo_ecg(domain, space, sigma, places, bath=1.0)(owned(v)).tolist())
        exact = []
        for place in places.values():
            x = ufl.SpatialCoordinate(domain.mesh)
            r = ufl.sqrt(ufl.inner(x - ufl.as_vector(place), x - ufl.as_vector(place)))
            form = -ufl.inner(sigma * ufl.grad(v), ufl.grad(1 / r)) / (4 * math.pi) * ufl.dx(degree=12)
            exact.append(comm.allreduce(fem.assemble_scalar(fem.form(form))))
        found.append(exact)
    return found


@pytest.mark.mpi
def test_fibres_that_turn_and_higher_degrees(on_ranks):
    """Beside quadrature of degree 12; the closest cells have the mean of the kernel, the axes as they vary."""
    first = None
    for one, exact_one, two, exact_two in on_ranks(case_same):
        assert one == pytest.approx(exact_one, rel=4e-3)
        assert two == pytest.approx(exact_two, rel=1e-3)
        first = first or (one, two)
        assert (one, two) == (pytest.approx(first[0], rel=1e-12), pytest.approx(first[1], rel=1e-12))


def test_a_sheet_and_a_cable():
    """A cable with linear V in closed form; a sheet beside the slab that it stands for."""
    line = mesh.create_interval(MPI.COMM_SELF, 7, [0.0, 2.0])
    domain, space = Domain(mesh=line, unit="mm"), fem.functionspace(line, ("Lagrange", 1))
    places = {"above": (0.7, 0.1, 0.2), "on the axis": (2.5,), "behind": (-0.3, 0.0, 0.0)}
    leads = pseudo_ecg(domain, space, fem.Constant(line, 0.2), places, bath=0.5, section=0.01, near=math.inf)
    full = [np.append(place, np.zeros(3 - len(place))) for place in places.values()]
    exact = [1 / np.linalg.norm(p - [2, 0, 0]) - 1 / np.linalg.norm(p) for p in full]
    exact = -0.2 * 3.0 * 0.01 / (4 * math.pi * 0.5) * np.array(exact)
    assert leads(nodal(space, lambda x: 3.0 * x[0])) == pytest.approx(exact, rel=1e-12)
    domain, space = box(MPI.COMM_SELF, 4, d=2)
    place = {"above": (0.4, 0.3, 0.5), "beside": (1.3, 0.5, 0.0)}
    sheet = pseudo_ecg(domain, space, fem.Constant(domain.mesh, 0.2), place, bath=0.5, section=0.02)
    thin = mesh.create_box(MPI.COMM_SELF, [[0, 0, -0.01], [1, 1, 0.01]], [4, 4, 1])
    slab = pseudo_ecg(
        Domain(mesh=thin, unit="mm"), fem.functionspace(thin, ("Lagrange", 1)), fem.Constant(thin, 0.2), place, bath=0.5
    )  # fmt: skip
    wave = lambda x: x[0] ** 2 - 3 * x[1]  # noqa: E731
    thick = fem.functionspace(thin, ("Lagrange", 1))
    assert sheet(nodal(space, wave)) == pytest.approx(slab(nodal(thick, wave)), rel=1e-3)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"bath": 0.0}, "bath = 0.0"),
        ({"electrodes": {}}, "electrodes"),
        ({"electrodes": {"E": (1.0, math.nan, 0.0)}}, r"electrodes\['E'\]"),
        ({"electrodes": {"E": (1.0,)}}, r"electrodes\['E'\].*three finite coordinates, or 2"),
        ({"electrodes": {"E": (0.3, 0.2)}}, r"electrodes\['E'\].*outside of the sheet.*Lift it"),
        ({"section": None}, "section = None.*thickness"),
        ({"section": -1.0}, "section = -1"),
        ({"near": 0.9}, "near = 0.9"),
        ({"near": math.nan}, "near = nan"),
    ],
)
def test_bad_electrodes_are_refused(more, named):
    domain, space = box(MPI.COMM_SELF, 2, d=2)
    options = {"electrodes": {"E": (1.0, 2.0, 0.5)}, "bath": 1.0, "section": 0.1} | more
    with pytest.raises(InputError, match=named):
        pseudo_ecg(domain, space, fem.Constant(domain.mesh, 1.0), options.pop("electrodes"), **options)


def tissue(comm, bath=False):
    """A box with turned fibres, and a bath on one side of it."""
    domain, space = box(comm, 4)
    ends = {"left": lambda x: (x[0] < 1e-9) & (x[1] < 0.5), "right": lambda x: x[0] > 1 - 1e-9}
    domain = domain.with_boundaries(ends)
    inside = mesh.compute_midpoints(domain.mesh, 3, np.arange(_local(domain), dtype=np.int32))[:, 0] < 0.5
    fibre = np.array([0.6, 0.8, 0.0])
    along = np.outer(fibre, fibre)
    sides = []
    for a, b in ((0.17, 0.019), (0.62, 0.24)):
        matrix = b * np.eye(3) + (a - b) * along
        cells = np.tile(matrix, (len(inside), 1, 1))
        if bath:
            cells[~inside] = 0.0 if a == 0.17 else np.eye(3)
        sides.append(cell_function(domain, cells))
    return domain, space, sides


def _local(domain):
    cells = domain.mesh.topology.index_map(3)
    return cells.size_local + cells.num_ghosts


def case_recovery(comm):
    found = {}
    spots = {"A": (0.1, 0.2, 0.3), "B": (0.25, 0.5, 0.75), "C": (0.9, 0.31, 0.6), "front": "left"}
    for bath in (False, True):
        domain, space, (si, se) = tissue(comm, bath)
        v = nodal(space, lambda x: np.tanh(4.0 * (x[0] + 0.5 * x[1] - 0.6)) * (1 + x[2]))
        for grounded in ((), ("right",)):
            recovery = Recovery(domain, space, intracellular=si, extracellular=se, grounded=grounded, rtol=1e-12)
            phi = owned(recovery(v))
            at = recovery._functionals(spots)
            seen = np.array([comm.allreduce(float(at[name] @ phi)) for name in spots])
            mean = domain.integral(recovery(v))
            none = recovery.leads(spots)(v) - seen + (0.0 if grounded else mean)
            to_front = recovery.leads(spots, reference="front")(v) - (seen[:3] - seen[3])
            to_mean = recovery.leads({"A": spots["A"]}, reference="mean")(v) - (seen[0] - mean)
            size = np.abs(seen).max()
            whole = comm.allreduce(float(at["front"].sum()))  # of half a side: the mean
            errors_of_mean = abs(whole - 1.0)
            errors = np.concatenate([none, to_front, to_mean, [errors_of_mean]]) / size
            found[f"{bath} {grounded}"] = [seen.tolist(), errors.tolist(), mean]
    return found


@pytest.mark.mpi
def test_the_lead_field_is_the_recovered_potential(on_ranks):
    """Points, nodes and boundaries, with and without a bath and a ground; the same on any ranks."""
    first = None
    for found in on_ranks(case_recovery):
        first = first or found
        for key, (seen, errors, mean) in found.items():
            assert np.abs(errors).max() < 1e-9, key
            assert seen == pytest.approx(first[key][0], rel=1e-8)
            if key.endswith("()"):
                assert abs(mean) < 1e-12
        assert abs(np.subtract(found["False ()"][0], found["True ()"][0])).max() > 0.01


def test_equal_anisotropy_ratios_and_a_plane_wave():
    """phi_e = -V/(1 + k) with sigma_e = k sigma_i, less its mean; and rest, which drives nothing."""
    domain, space, (si, _) = tissue(MPI.COMM_SELF)
    recovery = Recovery(domain, space, intracellular=si, extracellular=1.5 * si, preconditioner="direct")
    v = nodal(space, lambda x: np.tanh(3 * (x[0] + x[1] - 0.7)) - 80.0)
    exact = fem.Function(space)
    exact.x.array[:] = -v / 2.5
    exact.x.array[:] -= domain.integral(exact)
    assert owned(recovery(v)) == pytest.approx(exact.x.array, abs=1e-12)
    assert not owned(recovery(np.full(v.size, -85.23))).any()


@pytest.mark.parametrize(
    ("electrodes", "more", "named"),
    [
        ({"E": (2.0, 0.0, 0.0)}, {}, "electrodes: E.*a point of the domain.*nearest node"),
        ({"E": "top"}, {}, r"electrodes\['E'\] = 'top'"),
        ({"E": "right"}, {}, "not grounded"),
        ({"E": (0.5, 0.5)}, {}, r"electrodes\['E'\].*3 finite coordinates"),
        ({"E": (0.5, 0.5, 0.5)}, {"reference": "F"}, "reference = 'F'"),
        ({"E": (0.5, 0.5, 0.5)}, {"reference": "E"}, "beside the reference"),
        ({"mean": (0.5, 0.5, 0.5)}, {}, "electrodes = 'mean'"),
    ],
)
def test_bad_lead_fields_are_refused(electrodes, more, named):
    domain, space, (si, se) = tissue(MPI.COMM_SELF)
    recovery = Recovery(domain, space, intracellular=si, extracellular=se, grounded=["right"])
    with pytest.raises(InputError, match=named):
        recovery.leads(electrodes, **more)


def test_the_standard_leads():
    """Einthoven: I + III = II, Goldberger: aVR + aVL + aVF = 0; chest leads against Wilson's terminal."""
    names = ("RA", "LA", "LL", "V1", "V4")
    leads = Leads(comm=MPI.COMM_SELF, names=names, weights=np.eye(5))
    made = leads.combined(standard_leads(names))
    assert made.names == ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V4")
    found = dict(zip(made.names, made(np.array([1.0, 2.5, 7.0, 3.0, -2.0])), strict=True))
    assert found == pytest.approx(
        {"I": 1.5, "II": 6.0, "III": 4.5, "aVR": -3.75, "aVL": -1.5, "aVF": 5.25, "V1": -0.5, "V4": -5.5}
    )  # fmt: skip
    assert made(np.full(5, 80.0)) == pytest.approx(np.zeros(8), abs=1e-12)
    with pytest.raises(InputError, match="missing: LL"):
        standard_leads(["RA", "LA", "V1"])
    with pytest.raises(InputError, match=r"leads\['I'\] = 'LF'.*"):
        leads.combined({"I": {"LF": 1.0}})


def case_series(comm, path, end=2.0, resume=False, sign=1.0):
    made = mesh.create_rectangle(comm, [[0, 0], [4, 1]], [8, 2])
    model = Given(made, lambda x, t: np.tanh(x[0] - 2.0 * t), step=0.25)
    domain = Domain(mesh=made, unit="mm")
    places = {"a": (1.0, 0.5, 1.0), "b": (3.0, 0.5, 1.0)}
    leads = pseudo_ecg(domain, model.space, fem.Constant(made, 0.2), places, bath=1.0, section=0.1)
    leads = leads.combined({"b - a": {"b": 1.0, "a": -1.0}, "a": {"a": sign}})
    series = LeadSeries(leads, every=2, path=path + "-ecg")
    march(
        model, TimeGrid(end=end, step=0.25), observers=[series], checkpoint=CheckpointFile(path), checkpoint_every=3,
        resume=resume,
    )  # fmt: skip
    model.at(1.0)
    return {"times": series.times.tolist(), "a": series.values("a").tolist(), "then": leads(model.values).tolist(),
            "both": series.values("b - a").tolist()}  # fmt: skip


@pytest.mark.mpi
def test_series_are_in_files_and_go_on_after_a_restart(on_ranks, tmp_path):
    whole = on_ranks(case_series, path=str(tmp_path / "run"))
    on_ranks(case_series, ranks=(2,), path=str(tmp_path / "part"), end=1.25)
    again = on_ranks(case_series, ranks=(1,), path=str(tmp_path / "part"), resume=True)
    for answer in (*whole, *again):
        assert answer["times"] == [0.0, 0.5, 1.0, *([1.25] if answer in again else []), 1.5, 2.0]
        k = answer["times"].index(1.0)
        assert [answer["both"][k], answer["a"][k]] == pytest.approx(answer["then"], rel=1e-12)
        assert answer["a"][-1] == pytest.approx(whole[0]["a"][-1], rel=1e-10)
        assert answer["then"] == pytest.approx(whole[0]["then"], rel=1e-10)
    with (tmp_path / "part-ecg.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["time (ms)", "b - a (mV)", "a (mV)"]
    assert [float(row[2]) for row in rows] == again[0]["a"]
    with h5py.File(tmp_path / "part-ecg.h5") as file:
        assert file["a"][:].tolist() == again[0]["a"]
        assert file["b - a"].attrs["unit"] == "mV"
        assert file["time"].attrs["unit"] == "ms"


def test_series_of_other_leads_or_spaces_are_refused(tmp_path):
    case_series(MPI.COMM_SELF, str(tmp_path / "run"), end=0.5)
    with pytest.raises(CheckpointError, match="leads"):
        case_series(MPI.COMM_SELF, str(tmp_path / "run"), resume=True, sign=-2.0)
    made = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [4, 1]], [8, 2])
    model = Given(made, lambda x, t: np.tanh(x[0] - 2.0 * t), step=0.25)
    other = Leads(comm=MPI.COMM_SELF, names=("a",), weights=np.ones((1, 3)))
    for series, named in ((LeadSeries(other), "leads = 3.*27 nodes"), (LeadSeries(other, "U"), "field = 'U'")):
        with pytest.raises(InputError, match=named):
            march(model, TimeGrid(end=1.0, step=0.25), observers=[series])
    with pytest.raises(InputError, match="leads = 'a/b'"):
        LeadSeries(Leads(comm=MPI.COMM_SELF, names=("a/b",), weights=np.ones((1, 3))))
