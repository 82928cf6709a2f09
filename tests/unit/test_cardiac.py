"""The cardiac models: equality over ranks and restarts, regions, baths and electrodes, limits, refused input."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics import FITZHUGH_NAGUMO, Parameter, PointKinetics, Variable
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacModel, CardiacProblem, solve_cardiac
from homfem.macro.conditions import Dirichlet, Neumann, Robin
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.macro.observers import Call
from homfem.macro.stimulus import Box, Region, Stimulus
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Schedule, TimeGrid

INTRACELLULAR, EXTRACELLULAR = np.diag([0.2, 0.05]), np.diag([0.4, 0.25])
PULSE = Stimulus(place=Box(low=(0.0, 0.0), high=(1.0, 1.0)), amplitude=1.0, schedule=Schedule(duration=2.0))
SHARP = {"rtol": 1e-12, "elliptic_rtol": 1e-12}


def tissue(comm: MPI.Comm = MPI.COMM_SELF, cells=(24, 9), fibre=None) -> Domain:
    """A strip of 8 mm by 3 mm whose last quarter may be a bath."""
    mesh = box_mesh(comm, [8.0, 3.0], cells)
    domain = Domain(mesh=mesh, unit="mm", fibres=None if fibre is None else FibreFrame.constant(mesh, fibre))
    domain = domain.with_regions({"wall": lambda x: x[0] < 6.0, "end": lambda x: x[0] > 6.0})
    return domain.with_boundaries({"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > 8.0 - 1e-9})


def problem(kind="bidomain", domain: Domain | None = None, **change) -> CardiacProblem:
    given = {
        "mesh": tissue() if domain is None else domain,
        "kind": kind,
        "membrane": FITZHUGH_NAGUMO,
        "intracellular": INTRACELLULAR,
        "extracellular": EXTRACELLULAR,
        "area": 1.0,
        "capacitance": 1.0,
        "bath": {"end": 0.5} if kind == "bath" else {},
        "stimuli": [PULSE],
    }
    return CardiacProblem(**(given | change))


def sampled(function, values=None) -> list[float]:
    """The nodal values in the order of their places, on rank 0."""
    space = function.function_space
    owned = space.dofmap.index_map.size_local
    points = np.round(space.tabulate_dof_coordinates()[:owned], 9)
    parts = space.mesh.comm.gather((points, function.x.array[:owned] if values is None else values))
    if parts is None:
        return []
    points, values = np.concatenate([p for p, _ in parts]), np.concatenate([v for _, v in parts])
    return values[np.lexsort(points.T)].tolist()


def case_run(comm: MPI.Comm, kind: str, path: str = "", split: bool = False, **method) -> dict:
    """A run of 60 steps, whole or in two parts."""
    given = problem(kind, tissue(comm), start={"w": lambda x: 0.002 * x[1]}, parameters={"rate": 4.0})
    chosen = CardiacMethod(**method)
    kept = {"checkpoint": CheckpointFile(path), "checkpoint_every": 40} if path else {}
    if split:
        solve_cardiac(given, TimeGrid(end=8.0, step=0.2), chosen, threshold=0.5, **kept)
    done = solve_cardiac(given, TimeGrid(end=12.0, step=0.2), chosen, threshold=0.5, resume=split, **kept)
    found = {name: sampled(function) for name, function in done.fields.items()}
    return found | {"activation": sampled(done.activation), "largest": done.numbers["V maximum"].tolist()}


@pytest.mark.parametrize(
    ("kind", "change"),
    [("monodomain", {"current": "interpolated"}), ("bidomain", {"splitting": "strang"}), ("bath", {"mass": 0.5})],
)
def test_runs_are_equal_on_any_number_of_ranks(on_ranks, kind, change):
    results = on_ranks(case_run, kind=kind, **change, **SHARP)
    one = results[0]
    assert 0.5 < max(one["V"]) < 1.1
    assert np.isfinite(one["activation"]).mean() > 0.2
    for other in results[1:]:
        for name, values in one.items():
            assert other[name] == pytest.approx(values, abs=1e-8, nan_ok=True), name


@pytest.mark.parametrize(
    ("kind", "coupling", "elliptic"),
    [
        ("monodomain", None, "multigrid"), ("bidomain", "midpoint", "direct"), ("bath", "lagged", "direct"),
        ("bidomain", "midpoint", "multigrid"), ("bath", "implicit", "multigrid"),
    ],
)  # fmt: skip
def test_a_run_that_is_resumed_is_that_without_a_pause(tmp_path, kind, coupling, elliptic):
    method = {"coupling": coupling, "splitting": "strang" if coupling == "midpoint" else "godunov"}
    method |= {"elliptic_preconditioner": elliptic, "scheme": "tr-bdf2" if coupling == "implicit" else "crank-nicolson"}
    whole = case_run(MPI.COMM_SELF, kind, str(tmp_path / "whole.h5"), **method)
    parts = case_run(MPI.COMM_SELF, kind, str(tmp_path / "parts.h5"), split=True, **method)
    for name, values in whole.items():
        # Times differ by round-off; in a bath there is no V.
        tolerance = 1e-14 if name == "activation" else 0.0
        assert parts[name] == pytest.approx(values, rel=tolerance, abs=0.0, nan_ok=kind == "bath"), name
    with pytest.raises(CheckpointError):
        solve_cardiac(
            problem(kind, area=2.0),
            TimeGrid(end=12.0, step=0.2),
            CardiacMethod(**method),
            threshold=0.5,
            checkpoint=CheckpointFile(tmp_path / "parts.h5"),
            resume=True,
        )


@pytest.mark.parametrize(("splitting", "scheme"), [("strang", "crank-nicolson"), ("godunov", "backward-euler")])
def test_a_bidomain_of_equal_anisotropy_is_a_monodomain(splitting, scheme):
    """sigma_e = 2 sigma_i: to the tolerance of the solvers where the coupling is implicit, and phi_e = -V/3 + const."""
    method = CardiacMethod(splitting=splitting, scheme=scheme, coupling="implicit", **SHARP)
    given = {"intracellular": INTRACELLULAR, "extracellular": 2.0 * INTRACELLULAR}
    grid = TimeGrid(end=6.0, step=0.2)
    mono, bi = (solve_cardiac(problem(kind, **given), grid, method) for kind in ("monodomain", "bidomain"))
    v = mono.fields["V"].x.array
    assert v.max() > 0.7
    assert bi.fields["V"].x.array == pytest.approx(v, abs=1e-9)
    phi = bi.fields["phi_e"].x.array
    assert phi + v / 3.0 == pytest.approx(np.full_like(v, (phi + v / 3.0).mean()), abs=1e-9)
    lagged = solve_cardiac(problem("bidomain", **given), grid, replace(method, coupling="lagged"))
    assert np.abs(lagged.fields["V"].x.array - v).max() > 1e-5  # the difference that the coupling makes is seen


def test_the_monodomain_takes_the_conductivities_in_series_along_the_fibres():
    """sigma = (sigma_i^-1 + sigma_e^-1)^-1, by region, in the axes of the fibres; also from effective tensors."""
    series = np.diag([0.2 * 0.4 / 0.6, 0.05 * 0.25 / 0.3])
    turned = tissue(fibre=[0.0, 1.0])
    tensors = {
        name: EffectiveTensor.measured("cells", 1e3 * values, unit="mS/m", physics="conductivity", dimension=2)
        for name, values in (("intracellular", INTRACELLULAR), ("extracellular", EXTRACELLULAR))
    }
    grid = TimeGrid(end=4.0, step=0.2)
    both = solve_cardiac(problem("monodomain", turned, **tensors), grid)
    none = {"intracellular": None, "extracellular": None}
    one = solve_cardiac(problem("monodomain", tissue(), conductivity=np.diag(np.diag(series)[::-1]), **none), grid)
    assert both.fields["V"].x.array == pytest.approx(one.fields["V"].x.array, abs=1e-9)
    apart = {"wall": EXTRACELLULAR, "*": EXTRACELLULAR}
    regions = solve_cardiac(problem("monodomain", turned, **tensors | {"extracellular": apart}), grid)
    assert regions.fields["V"].x.array == pytest.approx(one.fields["V"].x.array, abs=1e-9)


def test_scars_and_parameters_by_region_and_by_place():
    """Poorly conducting tissue that does not excite: V stays low there, and the front does not pass."""
    scar = problem(
        "monodomain",
        intracellular={"wall": INTRACELLULAR, "end": 1e-3 * INTRACELLULAR},
        parameters={"a": {"wall": 0.1, "end": 0.9}, "rate": lambda x: np.where(x[0] < 6.0, 1.0, 0.5)},
        capacitance={"wall": 1.0, "*": 1.0},
    )
    done = solve_cardiac(scar, TimeGrid(end=70.0, step=0.2), threshold=0.5)
    x = done.activation.function_space.tabulate_dof_coordinates()[:, 0]
    assert np.all(np.isfinite(done.activation.x.array[x < 5.0]))
    assert not np.any(np.isfinite(done.activation.x.array[x > 7.0]))


def test_what_flows_leaves_the_integral_of_the_potential_to_the_membrane():
    """With a membrane that does nothing, the integral of V is that of the start and of the stimulus, to round-off."""
    still = PointKinetics(
        name="still", time_unit="ms", fields=(Variable(name="V", unit="mV"),),
        rates=lambda _t, fields, _x, _p: np.zeros((1, len(fields[0]))),
    )  # fmt: skip
    pulse = replace(PULSE, amplitude=3.0)
    for kind in ("monodomain", "bidomain", "bath"):
        model = CardiacModel(
            problem(kind, membrane=still, area=2.0, stimuli=[pulse], start={"V": lambda x: np.cos(x[0])}),
            step=0.25,
            method=CardiacMethod(mass=0.5),
        )
        weights = model.diffusion.weights.array_r.copy()  # of chi C_m
        before = float(weights @ model.values)
        for k in range(20):
            model.advance(0.25 * k)
        brought = float(weights @ model.values) - before
        assert brought == pytest.approx(3.0 * 1.0 * 2.0, abs=1e-10), kind  # amplitude, area, duration


@pytest.mark.parametrize("kind", ["monodomain", "bath"])
@pytest.mark.parametrize("degree", [1, 2])
def test_interpolated_states_give_the_nodal_current_where_it_is_linear(kind, degree):
    """The integral of a linear rate of interpolated states is the mass matrix times the nodal rates."""
    leak = PointKinetics(
        name="leak", time_unit="ms", fields=(Variable(name="V", unit="mV"),), states=(Variable(name="x", gate=False),),
        parameters=(Parameter(name="g", value=0.1, meaning="conductance"),),
        rates=lambda _t, fields, states, p: (p.g * (states[0] - fields[0]))[None],
        drift=lambda _t, fields, states, _p: 0.01 * (fields[0] - states[0])[None],
    )  # fmt: skip
    given = {"capacitance": {"wall": 2.0, "*": 1.0}, "start": {"V": lambda x: np.cos(x[0]), "x": lambda x: x[1]}}
    for membrane, equal in ((leak, True), (FITZHUGH_NAGUMO, False)):
        found = []
        start = given["start"] if equal else {"V": given["start"]["V"]}
        for current in ("nodal", "interpolated"):
            method = CardiacMethod(current=current, degree=degree, **SHARP)
            model = CardiacModel(
                problem(kind, membrane=membrane, **(given | {"start": start})), step=0.2, method=method
            )
            for k in range(3):
                model.advance(0.2 * k)
            found.append(model.values.copy())
        difference = np.abs(found[0] - found[1]).max()
        assert difference < 1e-9 if equal else 1e-4 < difference < 0.1


def test_a_bath_with_two_electrodes_carries_their_current():
    """Without a membrane's current the intracellular space floats, and phi_e falls by the resistances in series."""
    domain = tissue()
    current = 0.1
    ends = [Neumann(boundary="left", flux=current), Dirichlet(boundary="right", value=0.0)]
    model = CardiacModel(
        problem("bath", domain, stimuli=[], electrodes=ends, start={"V": 0.0}), step=0.1,
        method=CardiacMethod(elliptic_rtol=1e-12),
    )  # fmt: skip
    x = model.space.tabulate_dof_coordinates()[:, 0]
    whole = 0.2 + 0.4  # at first V = 0 everywhere, and both spaces carry
    expected = current * (np.clip(8.0 - x, 0.0, 2.0) / 0.5 + np.clip(6.0 - x, 0.0, None) / whole)
    assert model.phi_e.x.array == pytest.approx(expected, abs=1e-9)
    for k in range(3):
        model.advance(0.1 * k)
    left, right = (model.values[np.argmin(side * model.tissue.of_nodes(x))] for side in (1, -1))
    assert left < -1e-3 < 1e-3 < right  # V rises where the current leaves the extracellular space, at the cathode


def test_a_current_between_two_electrodes_in_the_tissue_polarizes_it():
    """An extracellular current out of a place excites there: a cathode; its sum over the places is zero."""
    cathode, anode = Box(low=(1.0, 1.0), high=(2.0, 2.0)), Box(low=(5.0, 1.0), high=(6.0, 2.0))
    pair = [Stimulus(place=cathode, amplitude=-2.0), Stimulus(place=anode, amplitude=2.0)]
    model = CardiacModel(problem(stimuli=[], extracellular_sources=pair), step=0.1)
    points = model.space.tabulate_dof_coordinates()
    for k in range(5):
        model.advance(0.1 * k)
    at = {x: model.values[np.argmin(np.abs(points[:, 0] - x) + np.abs(points[:, 1] - 1.5))] for x in (1.5, 5.5)}
    assert at[1.5] > 0.05
    assert at[5.5] < -0.05
    other = CardiacModel(problem(stimuli=[], intracellular_sources=pair[1:], extracellular_sources=pair[:1]), step=0.1)
    other.advance(0.0)
    assert other.values[np.argmin(np.abs(points[:, 0] - 5.5) + np.abs(points[:, 1] - 1.5))] > 0.05


def test_the_potential_starts_at_its_place_and_the_bath_has_none():
    model = CardiacModel(problem("bath", start={"V": lambda x: 0.3 * (x[0] < 7.0)}), step=0.1)
    x = model.space.tabulate_dof_coordinates()[:, 0]
    model.advance(0.0)
    shown = model.fields()
    for name in ("V", "w"):
        assert np.array_equal(np.isnan(shown[name].x.array), x > 6.1)
    assert shown["V"].x.array[np.abs(x - 3.0) < 0.1] == pytest.approx(0.25, abs=0.02)
    assert len(model.values) == np.count_nonzero(x < 6.1)


def test_a_state_that_is_not_finite_ends_the_run_with_node_time_and_name():
    given = problem("monodomain", stimuli=[], start={"V": 0.1})

    def spoil(model, step, time):
        if step == 3:
            place = np.abs(model.space.tabulate_dof_coordinates()[:, :2] - [4.0, 2.0]).sum(axis=1)
            model.reaction.states[0, np.argmin(place)] = np.nan

    with pytest.raises(ConvergenceError, match=r"w at the node \(4, 2\) mm is not finite at t = 0\.8 ms .FitzHugh"):
        solve_cardiac(given, TimeGrid(end=2.0, step=0.2), observers=[Call(spoil)])


def test_too_large_an_ionic_step_is_told():
    stiff = problem("monodomain", parameters={"rate": 400.0})
    with pytest.raises(ConvergenceError, match=r"ionic step of up to 0\.2 ms (is|may be) too large"):
        solve_cardiac(stiff, TimeGrid(end=4.0, step=0.2))
    solve_cardiac(stiff, TimeGrid(end=0.4, step=0.2), CardiacMethod(subcycles=100))


def test_a_step_that_an_explicit_scheme_cannot_take_at_rest_is_refused_by_the_fastest_gate():
    given = problem("monodomain", membrane=ionic_kinetics("tentusscher-panfilov-2006"), stimuli=[])
    with pytest.raises(
        InputError, match=r"step = 0\.05: it must be at most 0\.00213 ms: the scheme 'explicit' takes m of"
    ):
        CardiacModel(given, step=0.05, method=CardiacMethod(ionic="explicit"))
    CardiacModel(given, step=0.05, method=CardiacMethod(ionic="explicit", subcycles=25))
    CardiacModel(given, step=0.05)


@pytest.mark.parametrize(("size", "told"), [(1e-3, "m"), (1e3, "um")])
def test_a_mesh_in_another_unit_is_told(caplog, size, told):
    mesh = box_mesh(MPI.COMM_SELF, [20.0 * size, 7.0 * size], [20, 7])
    with caplog.at_level(logging.WARNING, logger="homfem"):
        CardiacModel(problem("monodomain", Domain(mesh=mesh, unit="mm"), stimuli=[]), step=0.1)
        assert "is 'mm' the unit of the mesh?" in caplog.text
        assert f"n {told!r} it would be" in caplog.text
        caplog.clear()
        CardiacModel(problem("monodomain"), step=0.1)
        assert not caplog.text


@pytest.mark.parametrize(
    ("cells", "step", "subcycles", "told"),
    [(40, 0.1, 1, []), (10, 0.1, 1, ["1.6 mm apart"]), (40, 1.0, 1, ["up to 1 ms"]), (40, 1.0, 10, [])],
)
def test_cells_and_ionic_steps_that_do_not_resolve_a_front_are_told(caplog, cells, step, subcycles, told):
    mesh = box_mesh(MPI.COMM_SELF, [16.0, 16.0 / cells], [cells, 1])
    membrane = ionic_kinetics("mitchell-schaeffer")
    given = problem("monodomain", Domain(mesh=mesh, unit="mm"), membrane=membrane, stimuli=[])
    with caplog.at_level(logging.WARNING, logger="homfem"):
        CardiacModel(given, step=step, method=CardiacMethod(subcycles=subcycles))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(told), messages
    assert all(part in message for part, message in zip(told, messages, strict=True))


BAD = {
    "kind": ({"kind": "tridomain"}, InputError, "kind = 'tridomain'"),
    "no tensors": ({"extracellular": None}, InputError, "intracellular and extracellular, of a bidomain"),
    "two ways": ({"kind": "monodomain", "conductivity": 0.1}, InputError, "either conductivity, or"),
    "indefinite": ({"intracellular": np.diag([0.2, -0.1])}, InputError, "intracellular.*positive definite.*-0.1"),
    "indefinite in a region": (
        {"extracellular": {"wall": 0.2, "end": np.diag([0.2, -0.1])}},
        InputError,
        r"extracellular\.end",
    ),
    "kind of a tensor": (
        {"intracellular": EffectiveTensor.measured("a", 0.2, unit="um^2/s", dimension=2)},
        InputError,
        "effective tensor of a?.?conductivity",
    ),
    "sheets": ({"intracellular": [[0.2, 0.3], [0.1, 0.2]]}, InputError, "not symmetric"),
    "region": ({"intracellular": {"wall": 0.2}}, InputError, "end.*would have none"),
    "bath without": ({"kind": "bath", "bath": {}}, InputError, "a tensor for each region of the bath"),
    "bath of a bidomain": ({"bath": {"end": 1.0}}, InputError, "absent without a bath"),
    "bath unknown": ({"kind": "bath", "bath": {"ende": 1.0}}, InputError, "Did you mean 'end'"),
    "all bath": ({"kind": "bath", "bath": {"wall": 1.0, "end": 1.0}}, InputError, "no tissue left"),
    "electrodes of a monodomain": (
        {"kind": "monodomain", "electrodes": [Dirichlet(boundary="left", value=0.0)]}, InputError, "electrodes",
    ),
    "electrode unknown": ({"electrodes": [Dirichlet(boundary="lfet", value=0.0)]}, InputError, r"electrodes\[0\]"),
    "electrode of a kind": (
        {"electrodes": [Robin(boundary="left", coefficient=1.0, ambient=0.0)]}, InputError, "Dirichlet or Neumann",
    ),
    "current": ({"electrodes": [Neumann(boundary="left", flux=1.0)]}, InputError, "electrodes = 3.*sum to zero"),
    "source": ({"extracellular_sources": [PULSE]}, InputError, "sources = 1.*sum to zero.*Ground"),
    "intracellular source": ({"intracellular_sources": [PULSE]}, InputError, "sources = 1.*sum to zero"),
    "parameter": ({"parameters": {"epsilom": 1.0}}, InputError, "Did you mean 'epsilon'"),
    "parameter range": ({"parameters": {"epsilon": -1.0}}, InputError, "epsilon = -1"),
    "parameter region": ({"parameters": {"epsilon": {"wal": 1.0}}}, InputError, "Did you mean 'wall'"),
    "state": ({"start": {"ww": 1.0}}, InputError, "ww"),
    "gate": ({"membrane": ionic_kinetics("mitchell-schaeffer"), "start": {"h": lambda x: 1.2 * x[0]}}, InputError,
             r"start\.h = 9\.\d.*from 0 to 1"),
    "conductance": ({"membrane": ionic_kinetics("beeler-reuter"), "parameters": {"g_Na": {"wall": -4.0, "end": 4.0}}},
                    InputError, r"parameters\.g_Na = -4.*>= 0"),
    "area": ({"area": 0.0}, InputError, "area = 0"),
    "capacitance": ({"capacitance": {"wall": -1.0, "end": 1.0}}, InputError, r"capacitance\.wall = -1"),
    "stimulus": (
        {"kind": "bath", "bath": {"end": 1.0}, "stimuli": [replace(PULSE, place=Region(name="end"))]},
        InputError,
        "holds tissue",
    ),
    "place": ({"stimuli": [replace(PULSE, place=Box(low=(9.0, 0.0), high=(10.0, 1.0)))]}, InputError, r"stimuli\[0\]"),
    "membrane": (
        {"membrane": replace(FITZHUGH_NAGUMO, time_unit="s")}, InputError, "kinetics with time in ms",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_bad_problems_are_refused(name):
    change, error, message = BAD[name]
    with pytest.raises(error, match=message):
        CardiacModel(problem(**change), step=0.1)


def test_bad_methods_and_meshes_are_refused():
    for change, message in {
        "mass": ({"mass": 0.5, "degree": 2}, "mass = 0.5"),
        "coupling": ({"coupling": "strong"}, "coupling"),
        "scheme": ({"scheme": "euler"}, "scheme"),
        "rtol": ({"rtol": 0.0}, "rtol"),
        "current": ({"current": "interpolated", "splitting": "strang"}, "follow V at the nodes"),
        "subcycles": ({"subcycles": 0}, "subcycles"),
    }.values():
        with pytest.raises(InputError, match=message):
            CardiacMethod(**change)
    with pytest.raises(InputError, match="a domain in mm"):
        problem(domain=Domain(mesh=box_mesh(MPI.COMM_SELF, [8.0, 3.0], [2, 2]), unit="cm"))


def test_grounding_lets_a_current_out():
    ends = [Neumann(boundary="left", flux=0.2), Dirichlet(boundary="right", value=0.0)]
    done = solve_cardiac(problem(electrodes=ends, stimuli=[]), TimeGrid(end=0.2, step=0.1))
    assert done.fields["phi_e"].x.array.max() > 1.0
    assert {"ODE", "parabolic", "elliptic", "transfer", "output"} <= set(done.seconds)
    assert "elliptic" in done.table()
