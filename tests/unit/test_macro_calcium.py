"""The calcium bidomain model: conservation, restart after a kill, equality over ranks, the wave, refused input."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.kinetics import TRIGGER_WAVE, MembraneKinetics, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumModel, CalciumProblem, diffusion, front_speed, run_calcium
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError, UnitError
from homfem.solve import Multigrid
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Splitting, TimeGrid
from mpi_ranks import CaseError, Ranks

GAMMA_C, GAMMA_E, AREA = 1 / 1.185, 0.185 / 1.185, 2.0
MEMBRANE = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, interface_area=AREA)
REST = resting_state(MEMBRANE, total=3 * GAMMA_C, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, ip3=0.3)


def tensors(dimension: int, cytosol=20.0, er=10.0, unit: str = "um^2/s"):
    """A* and B* for diffusivities per phase."""
    return {
        "cytosol": EffectiveTensor.measured(
            "cytosol", np.multiply(cytosol, GAMMA_C), volume_fraction=GAMMA_C, unit=unit, dimension=dimension
        ),
        "er": EffectiveTensor.measured(
            "er", np.multiply(er, GAMMA_E), volume_fraction=GAMMA_E, unit=unit, dimension=dimension
        ),
    }


def wave(domain, radius=20.0, **change) -> CalciumProblem:
    """A tissue at rest with 0.8 uM more calcium in a ball at the origin."""
    given = {
        "mesh": domain,
        "kinetics": li_rinzel(MEMBRANE),
        "ip3": 0.3,
        "initial_cytosol": lambda x: REST.cytosol + 0.8 * (np.linalg.norm(x, axis=0) <= radius),
        "initial_er": REST.er,
        "initial_states": {"h": REST.inactivation},
        "interface_area": AREA,
    }
    return CalciumProblem(**(given | tensors(domain.topology.dim) | change))


def ball(comm: MPI.Comm, radius=30.0, size=6.0):
    """A ball meshed by Gmsh on rank 0 and distributed; its x >= 0 half is not symmetric to the other."""
    import basix.ufl

    from homfem._dolfinx import create_mesh

    cells, points = np.empty((0, 4), dtype=np.int64), np.empty((0, 3))
    if comm.rank == 0:
        import gmsh

        gmsh.initialize(["-noenv", "-v", "0"], interruptible=False)
        gmsh.model.occ.addSphere(0, 0, 0, radius)
        gmsh.model.occ.synchronize()
        gmsh.option.setNumber("Mesh.MeshSizeMax", size)
        gmsh.option.setNumber("General.NumThreads", 1)
        gmsh.model.mesh.generate(3)
        tags, coordinates, _ = gmsh.model.mesh.getNodes()
        _, nodes = gmsh.model.mesh.getElementsByType(4)
        gmsh.finalize()
        used, cells = np.unique(nodes, return_inverse=True)
        cells = cells.reshape(-1, 4).astype(np.int64)
        points = coordinates.reshape(-1, 3)[np.argsort(tags)][np.searchsorted(np.sort(tags), used)]
    return create_mesh(comm, cells, points, basix.ufl.element("Lagrange", "tetrahedron", 1, shape=(3,)))


def gathered(function: fem.Function) -> list[float]:
    """The nodal values sorted by coordinates, on rank 0."""
    space, comm = function.function_space, function.function_space.mesh.comm
    owned = space.dofmap.index_map.size_local
    parts = comm.gather((space.tabulate_dof_coordinates()[:owned].round(6), function.x.array[:owned]))
    if parts is None:
        return []
    points, values = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return values[np.lexsort(points.T)].tolist()


@pytest.mark.parametrize("splitting", ["godunov", "strang"])
def test_calcium_is_conserved_over_1000_steps_whatever_the_solver_leaves(splitting):
    problem = wave(mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 60]], [15, 15]))
    result = run_calcium(problem, TimeGrid(end=10.0, step=0.01), splitting=splitting, rtol=1e-3, threshold=0.3)
    assert len(result.total) == 1001
    assert result.drift < 1e-12
    assert result.maximum[0] == pytest.approx(0.9, abs=0.01)
    assert np.isfinite(result.activation.x.array).all()  # something happened: the wave passed every node
    start = (GAMMA_C * REST.cytosol + GAMMA_E * REST.er) * 3600
    assert start < result.total[0] < start + GAMMA_C * 0.8 * np.pi / 4 * 26**2


def test_rest_stays_at_rest():
    problem = wave(mesh.create_unit_square(MPI.COMM_SELF, 4, 4), initial_cytosol=REST.cytosol)
    result = run_calcium(problem, TimeGrid(end=5.0, step=0.05))
    assert np.abs(result.cytosol.x.array - REST.cytosol).max() < 1e-12
    assert np.abs(result.er.x.array - REST.er).max() < 1e-10


@pytest.mark.parametrize(("step", "splitting"), [(0.02, "strang"), (0.02, "godunov"), (0.04, "strang")])
def test_wave_speed_in_the_plane(step, splitting):
    """10.7 to 11.0 um/s for meshes of 1 and 2 um and steps of 0.005 and 0.02 s: an independent prototype."""
    problem = wave(mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [100, 100]], [50, 50]))
    result = run_calcium(problem, TimeGrid(end=8.0, step=step), splitting=splitting, threshold=0.4)
    speed = front_speed(result.activation, origin=np.zeros(2), inner=40.0, outer=75.0)
    assert speed == pytest.approx(10.85, abs=0.35)


def test_wave_speed_in_space():
    """9.9 um/s behind a ball of 25 um: an independent prototype."""
    problem = wave(mesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [60, 60, 60]], [24, 24, 24]), radius=25.0)
    result = run_calcium(problem, TimeGrid(end=3.5, step=0.025), splitting="godunov", threshold=0.4)
    speed = front_speed(result.activation, origin=np.zeros(3), inner=30.0, outer=50.0)
    assert speed == pytest.approx(9.9, abs=0.3)


def test_too_small_a_stimulus_makes_no_wave():
    problem = wave(mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [100, 100]], [50, 50]), radius=0.5)
    result = run_calcium(problem, TimeGrid(end=4.0, step=0.02), threshold=0.4)
    with pytest.raises(InputError, match="activation"):
        front_speed(result.activation, origin=np.zeros(2), inner=40.0, outer=75.0)


def test_turned_tissue_gives_turned_fields():
    """Anisotropic tensors with off-diagonal entries: turn mesh and tensor together, nothing else changes."""
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    values = []
    for rotation in (np.eye(2), turn):
        domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [12, 8])
        domain.geometry.x[:, :2] = domain.geometry.x[:, :2] @ rotation.T
        given = tensors(2, rotation @ np.diag([20.0, 5.0]) @ rotation.T, rotation @ np.diag([3.0, 10.0]) @ rotation.T)
        problem = wave(domain, radius=20.1, **given)
        values.append(run_calcium(problem, TimeGrid(end=1.0, step=0.02), rtol=1e-12).cytosol.x.array)
    assert np.ptp(values[0]) > 0.3
    assert values[1] == pytest.approx(values[0], abs=1e-9)


def test_units_of_the_tensors_are_converted():
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [6, 4])
    grid = TimeGrid(end=0.2, step=0.02)
    plain = run_calcium(wave(domain), grid).cytosol.x.array
    metres = run_calcium(wave(domain, **tensors(2, 20e-12, 10e-12, "m^2/s")), grid).cytosol.x.array
    assert metres == pytest.approx(plain, rel=1e-9)


def test_membrane_area_of_the_tensors_is_converted():
    """2 per um, as 2000 per mm and as 2e6 per m; areas that contradict each other are refused."""
    domain, grid = square(), TimeGrid(end=0.2, step=0.02)
    plain = run_calcium(wave(domain), grid).er.x.array
    er, cytosol = (tensors(2)[name] for name in ("er", "cytosol"))
    shared = {
        "er": replace(er, interface_area=2000.0, length_unit="mm"),
        "cytosol": replace(cytosol, interface_area=2e6, length_unit="m"),
        "interface_area": None,
    }
    problem = wave(domain, **shared)
    assert problem.area == pytest.approx(2.0, rel=1e-12)
    assert run_calcium(problem, grid).er.x.array == pytest.approx(plain, rel=1e-10)
    shared["er"] = replace(er, interface_area=2.0, length_unit="mm")
    with pytest.raises(InputError, match="one positive area that both tensors share"):
        wave(domain, **shared)


def test_fields_may_be_numbers_callables_or_functions():
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [6, 4])
    function = fem.Function(fem.functionspace(domain, ("Lagrange", 1)))
    function.interpolate(lambda x: 0.3 + 0.0 * x[0])
    grid = TimeGrid(end=0.2, step=0.02)
    results = [
        run_calcium(wave(domain, ip3=ip3, density=density), grid).cytosol.x.array
        for ip3, density in ((0.3, 1.0), (lambda x: 0.3 + 0 * x[0], lambda x: np.ones_like(x[0])), (function, 1))
    ]
    assert results[1] == pytest.approx(results[0], rel=1e-12)
    assert results[2] == pytest.approx(results[0], rel=1e-12)


def test_no_transporters_no_exchange():
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [6, 4])
    result = run_calcium(wave(domain, density=0.0), TimeGrid(end=2.0, step=0.02))
    assert result.er.x.array == pytest.approx(REST.er, rel=1e-13)


def case_wave(comm, splitting, preconditioner="jacobi"):
    result = run_calcium(
        wave(ball(comm), radius=15.0),
        TimeGrid(end=1.0, step=0.02),
        splitting=splitting,
        threshold=0.4,
        preconditioner=preconditioner,
    )
    fields = [gathered(f) for f in (result.cytosol, result.er, result.states["h"])]
    return {
        "fields": fields,
        "total": result.total.tolist(),
        "max": result.maximum.tolist(),
        "drift": result.drift,
        "activation": np.nan_to_num(gathered(result.activation), posinf=-1.0).tolist(),
        "speed": comm.allgather(front_speed(result.activation, origin=np.zeros(3), inner=16.0, outer=28.0)),
    }


@pytest.mark.mpi
@pytest.mark.parametrize("splitting", ["godunov", "strang"])
def test_same_fields_on_1_2_3_ranks(on_ranks, splitting):
    one, *others = on_ranks(case_wave, splitting=splitting)
    assert one["drift"] < 1e-13
    assert np.ptp(one["fields"][0]) > 0.5
    assert 5.0 < one["speed"][0] < 20.0
    for other in others:
        assert other["drift"] < 1e-12
        for mine, theirs in zip(one["fields"], other["fields"], strict=True):
            assert np.abs(np.subtract(mine, theirs)).max() < 1e-8 * np.abs(mine).max()
        assert other["total"] == pytest.approx(one["total"], rel=1e-12)
        assert other["max"] == pytest.approx(one["max"], rel=1e-8)
        assert other["activation"] == pytest.approx(one["activation"], abs=1e-8)
        assert other["speed"] == pytest.approx(one["speed"] * len(other["speed"]), rel=1e-8)


@pytest.mark.parametrize("preconditioner", ["ssor", "multigrid", "direct"])
def test_preconditioners_give_the_same_fields(preconditioner):
    problem = wave(ball(MPI.COMM_SELF), radius=15.0)
    fields = [
        run_calcium(problem, TimeGrid(end=0.4, step=0.02), preconditioner=name).cytosol.x.array
        for name in ("jacobi", preconditioner)
    ]
    assert fields[1] == pytest.approx(fields[0], rel=1e-8)


def test_large_meshes_take_what_is_fastest_for_the_step(monkeypatch):
    """In a cube of h = 2 um, by the square of what a step diffuses over h; the fields are the same."""
    monkeypatch.setattr(diffusion, "LARGE", 100)
    problem = wave(mesh.create_box(MPI.COMM_SELF, [[0.0] * 3, [12.0] * 3], [6] * 3), radius=6.0, density=0.0)
    for step, wanted in ((0.002, "jacobi"), (0.2, "incomplete-cholesky"), (20.0, Multigrid)):
        one, other = (CalciumModel(problem, step=step, preconditioner=name) for name in ("auto", "direct"))
        group = one.diffusion.shared[0]
        found = diffusion.preconditioner_of(group.mass, group.stiffness, one.scheme.diagonal * step)
        assert found == wanted if isinstance(wanted, str) else isinstance(found, wanted)
        for model in (one, other):
            model.advance(0.0)
        assert one.unknowns["cytosol"].values == pytest.approx(other.unknowns["cytosol"].values, rel=1e-8)


def case_restart(comm, path, resume=False, kill=-1, interrupt=-1, rtol=1e-10, end=0.6):
    """Run with checkpoints; kill or interrupt the process after a step."""

    def watch(snapshot):
        if snapshot.step == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if snapshot.step == interrupt and comm.rank == 0:
            os.kill(os.getpid(), signal.SIGINT)

    bound = lambda x: 0.3 + 0.001 * x[0]  # noqa: E731 - IP3 and density that differ from node to node
    result = run_calcium(
        wave(ball(comm), radius=15.0, ip3=bound, density=lambda x: 1.0 + 0.01 * x[1]),
        TimeGrid(end=end, step=0.02),
        rtol=rtol,
        threshold=0.4,
        observe=watch,
        checkpoint=CheckpointFile(path),
        checkpoint_every=10,
        resume=resume,
    )
    fields = [gathered(f) for f in (result.cytosol, result.er, result.states["h"], result.activation)]
    return {"fields": fields, "total": result.total.tolist(), "times": result.times.tolist(), "done": result.finished}


@pytest.mark.mpi
@pytest.mark.parametrize(("before", "after"), [(1, (1, 2)), (2, (1, 3))])
def test_restart_after_a_kill_gives_the_same_fields(on_ranks, tmp_path, before, after):
    path = tmp_path / "wave.ckpt"
    whole = on_ranks(case_restart, ranks=(1,), path=str(tmp_path / "whole.ckpt"))[0]
    with pytest.raises(CaseError, match="the process has ended"):
        Ranks(before).run(__file__, "case_restart", {"path": str(path), "kill": 23})
    saved = path.read_bytes()
    for ranks in after:
        path.write_bytes(saved)
        again = on_ranks(case_restart, ranks=(ranks,), path=str(path), resume=True)[0]
        assert again["done"]
        assert again["times"] == whole["times"]
        assert again["total"] == pytest.approx(whole["total"], rel=1e-12)
        for mine, theirs in zip(whole["fields"], again["fields"], strict=True):
            assert np.array_equal(np.isinf(mine), np.isinf(theirs))
            finite = np.isfinite(mine)
            difference = np.abs(np.subtract(mine, theirs, where=finite, out=np.zeros(len(mine))))
            assert difference.max() <= 1e-12 * np.abs(np.array(mine)[finite]).max()


@pytest.mark.parametrize(
    ("number", "saved", "done"),
    [(signal.SIGTERM, 3, False), (signal.SIGUSR1, 3, False), (signal.SIGCONT, 3, True)],
    ids=["SIGTERM", "SIGUSR1", "SIGCONT"],
)
def test_signals_save_after_the_step_under_way(number, saved, done):
    """What asks for an end ends the run; SIGCONT, which mpirun sends first, is one more checkpoint."""
    times = []

    class Kept:
        def exists(self, comm):
            return False

        def prepare(self, spaces):
            pass

        def write(self, fields, *, state, problem, series):
            times.append(state["time"])

    def watch(snapshot):
        if snapshot.step == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    problem = wave(mesh.create_unit_square(MPI.COMM_SELF, 2, 2))
    result = run_calcium(problem, TimeGrid(end=0.1, step=0.02), observe=watch, checkpoint=Kept(), checkpoint_every=100)
    assert result.finished == done
    assert times == pytest.approx([0.02 * saved] + [0.1] * done)
    assert signal.getsignal(number) == before


def test_interrupted_run_is_saved_and_goes_on_to_the_last_bit(tmp_path):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    whole = case_restart(MPI.COMM_SELF, tmp_path / "a.ckpt", rtol=1e-6)
    part = case_restart(MPI.COMM_SELF, tmp_path / "b.ckpt", rtol=1e-6, interrupt=13)
    assert not part["done"]
    assert 0.26 <= part["times"][-1] <= 0.28
    rest = case_restart(MPI.COMM_SELF, tmp_path / "b.ckpt", rtol=1e-6, resume=True)
    assert rest == whole
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.mpi
def test_interrupt_on_one_rank_ends_the_run_on_all(on_ranks, tmp_path):
    answer = on_ranks(case_restart, ranks=(2,), path=str(tmp_path / "a"), interrupt=5, rtol=1e-6)[0]
    assert not answer["done"]
    assert len(answer["times"]) <= 8


def test_end_of_a_finished_run_can_be_moved(tmp_path):
    case_restart(MPI.COMM_SELF, tmp_path / "a", end=0.2, rtol=1e-6)
    longer = case_restart(MPI.COMM_SELF, tmp_path / "a", end=0.4, resume=True, rtol=1e-6)
    assert longer["fields"] == case_restart(MPI.COMM_SELF, tmp_path / "b", end=0.4, rtol=1e-6)["fields"]


def square():
    return mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [6, 4])


def _quadratic(domain):
    """A function that is not P1."""
    return fem.Function(fem.functionspace(domain, ("Lagrange", 2)))


def test_checkpoint_of_another_problem_is_refused(tmp_path):
    domain, file = square(), CheckpointFile(tmp_path / "a")
    grid = TimeGrid(end=0.2, step=0.02)
    run_calcium(wave(domain), grid, checkpoint=file)
    with pytest.raises(CheckpointError, match=r"IP3 \(uM\).*\[0\.3, .* in the checkpoint, \[0\.35, .* another folder"):
        run_calcium(wave(domain, ip3=0.35), grid, checkpoint=file, resume=True)
    with pytest.raises(CheckpointError, match="cytosol"):
        run_calcium(wave(domain, **tensors(2, cytosol=21.0)), grid, checkpoint=file, resume=True)
    with pytest.raises(InputError, match="time"):
        run_calcium(wave(domain), TimeGrid(end=0.9, step=0.03), checkpoint=file, resume=True)
    with pytest.raises(InputError, match=r"end = 0\.1: it must be no earlier than the checkpoint, at t = 0\.2 s"):
        run_calcium(wave(domain), TimeGrid(end=0.1, step=0.02), checkpoint=file, resume=True)
    with pytest.raises(
        CheckpointError, match=r"subcycles: 1 in the checkpoint, 2 here; threshold \(uM\): none .* 0\.4 h"
    ):
        run_calcium(wave(domain), grid, checkpoint=file, resume=True, subcycles=2, threshold=0.4)


def _moved(x):
    """IP3 or density with a mean of one that differs at one node."""
    return 1.0 + 0.5 * ((x[0] > 59) & (x[1] > 39)) - 0.5 * ((x[0] < 1) & (x[1] > 39))


GIVEN = {"ip3": 0.3, "density": lambda x: 1e-13 * _moved(x), "threshold": 0.3, "rtol": 1e-8}
LATE = Splitting(name="strang", order=2, stages=(("diffusion", 0.5), ("reaction", 1.0), ("diffusion", 0.5)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"step": 0.01}, "time step"),
        ({"start": -0.02}, "start"),
        ({"subcycles": 2}, "subcycles"),
        ({"splitting": "godunov"}, "splitting"),
        ({"splitting": LATE}, "splitting"),
        ({"rtol": 1e-9}, "rtol"),
        ({"threshold": None}, "threshold"),
        ({"threshold": 0.3 + 1e-9}, "threshold"),
        ({"radius": 25.0}, "cytosol at the start"),
        ({"initial_er": REST.er * (1 + 1e-8)}, "ER at the start"),
        ({"initial_states": {"h": 0.8}}, "h at the start"),
        ({"ip3": lambda x: 0.3 * _moved(x)}, "IP3"),
        ({"density": 1e-13}, "density"),
        ({"density": lambda x: 1e-13 * _moved(np.array([60, 40, 0])[:, None] - x)}, "density"),
        (tensors(2, er=10.1), "er (um^2/s)"),
        (tensors(2, unit="mm^2/s"), "cytosol (um^2/s), er (um^2/s)"),
        ({"interface_area": 2.1}, "membrane area"),
        ({"kinetics": li_rinzel(replace(MEMBRANE, d5=0.0824))}, "parameter d5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resume_with_anything_else_is_refused(change, named, saved):
    with pytest.raises(CheckpointError) as error:
        _small_run(saved, **change, resume=True)
    assert f"differ: {named}" in str(error.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of the square, with a density whose numbers are small."""
    file = CheckpointFile(tmp_path_factory.mktemp("saved") / "a")
    _small_run(file)
    return file


def _small_run(file, start=0.0, step=0.02, radius=20.0, **change):
    options = {name: change.pop(name) for name in ("splitting", "subcycles", "resume") if name in change}
    given = GIVEN | change
    options |= {name: given.pop(name) for name in ("threshold", "rtol")}
    problem = wave(square(), radius=radius, **given)
    return run_calcium(problem, TimeGrid(start=start, end=0.08, step=step), checkpoint=file, **options)


def test_resume_with_the_same_numbers_in_other_units_goes_on(saved):
    """A run that was finished: nothing is left to do."""
    again = _small_run(saved, **tensors(2, cytosol=20e-6, er=10e-6, unit="mm^2/s"), resume=True)
    assert again.finished
    assert len(again.times) == 5


def test_resume_without_a_checkpoint_says_that_it_starts_anew(tmp_path, caplog):
    """A job that starts and restarts with the same command may do so; a wrong folder does not pass unseen."""
    file = CheckpointFile(tmp_path / "none")
    with caplog.at_level(logging.WARNING, "homfem"):
        _small_run(file, resume=True)
        _small_run(file, resume=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"calcium bidomain: no checkpoint {str(tmp_path / 'none')!r} to resume from; starting at t = 0 s"
    ]


def test_a_node_above_the_threshold_from_the_start_of_a_step_is_no_arrival():
    from homfem.macro.observers import crossed

    arrival = np.full(3, np.inf)
    crossed(arrival, np.array([0.1, 0.5, 0.1]), np.array([0.5, 0.6, 0.2]), 0.4, 2.0, 2.4)
    assert arrival == pytest.approx([2.3, np.inf, np.inf])


def test_snapshots_come_at_the_start_the_end_and_between():
    seen = []
    grid = TimeGrid(end=0.2, step=0.02)
    run_calcium(wave(square()), grid, observe=lambda s: seen.append((s.step, s.time)), observe_every=4)
    assert seen == [(0, 0.0), (4, grid.time(4)), (8, grid.time(8)), (10, 0.2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_cytosol": -0.1}, "initial_cytosol = -0.1"),
        ({"initial_cytosol": lambda x: x[0] - 1e-3}, "initial_cytosol = -0.001"),
        ({"initial_er": lambda x: np.where(x[0] > 30, np.nan, 1.0)}, "initial_er = nan"),
        ({"initial_er": float("inf")}, "initial_er = inf"),
        ({"initial_cytosol": lambda x: x}, "values have shape"),
        ({"initial_states": {"h": -0.2}}, r"initial_states\['h'\]"),
        ({"initial_states": {"k": 0.2}}, "states of the kinetics"),
        ({"ip3": -0.3}, "ip3"),
        ({"ip3": "0.3"}, "ip3"),
        ({"ip3": _quadratic}, "a P1 function on the problem's mesh"),
        ({"density": -1.0}, "density"),
        ({"interface_area": 0.0}, "interface_area"),
        ({"interface_area": None}, "Give interface_area"),
        (tensors(3), "a 2x2 tensor"),
        ({"er": tensors(2)["cytosol"]}, "other phases"),
        ({"er": EffectiveTensor.measured("er", 2.0, volume_fraction=0.4, dimension=2)}, "volume fraction"),
        ({"cytosol": EffectiveTensor(value=np.diag([1.0, -1.0]))}, "positive definite"),
        ({"cytosol": EffectiveTensor(value=[[1.0, 0.5], [0.0, 1.0]])}, "not symmetric"),
        ({"cytosol": EffectiveTensor(value=np.eye(2), physics="elasticity")}, "diffusion"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_problems_are_refused(change, message):
    domain = square()
    change = {name: value(domain) if value is _quadratic else value for name, value in change.items()}
    with pytest.raises(InputError, match=message):
        run_calcium(wave(domain, **change), TimeGrid(end=0.1, step=0.02))


@pytest.mark.parametrize("unit", ["GPa", "um", "furlong^2/fortnite"])
def test_units_that_are_no_diffusivity_are_refused(unit):
    with pytest.raises(UnitError, match="um\\^2/s"):
        wave(square(), **tensors(2, unit=unit))


def case_negative(comm):
    """One rank has a negative value; every rank raises."""
    text = ""
    try:
        run_calcium(
            wave(mesh.create_rectangle(comm, [[0, 0], [60, 40]], [6, 4]), initial_cytosol=lambda x: x[0] - 0.5),
            TimeGrid(end=0.1, step=0.02),
        )
    except InputError as error:
        text = str(error)
    return {"texts": comm.allgather(text)}


@pytest.mark.mpi
def test_negative_start_is_refused_on_every_rank(on_ranks):
    texts = on_ranks(case_negative, ranks=(2,))[0]["texts"]
    assert texts[0] == texts[1]
    assert "initial_cytosol = -0.5" in texts[0]


@pytest.mark.parametrize(
    "options",
    [{"splitting": "lie"}, {"subcycles": 0}, {"rtol": 2.0}, {"preconditioner": "ilu"}, {"observe_every": 0}],
    ids=lambda d: next(iter(d)),
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        run_calcium(wave(square()), TimeGrid(end=0.1, step=0.02), **options)


def test_step_that_does_not_divide_the_time_is_refused():
    with pytest.raises(InputError, match=r"nearest one is 0\.02"):
        run_calcium(wave(square()), TimeGrid(end=0.1, step=0.021))


def test_flat_mesh_in_space_is_refused():
    import basix.ufl

    from homfem._dolfinx import create_mesh

    element = basix.ufl.element("Lagrange", "triangle", 1, shape=(3,))
    sheet = create_mesh(MPI.COMM_SELF, np.array([[0, 1, 2]]), np.eye(3), element)
    with pytest.raises(InputError, match="2D cells in 3D"):
        wave(sheet)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_runaway_is_reported():
    runaway = MembraneKinetics(
        name="runaway",
        states=(),
        flux=lambda c, e, x, p: 1e60 * (c + 1.0) ** 3,
        relaxation=lambda c, e, x, p: (x, x),
        steady=lambda c, e, p: np.empty((0, c.size)),
    )
    with pytest.raises(ConvergenceError, match=r"not finite|not a number"):
        run_calcium(wave(square(), kinetics=runaway, initial_states={}), TimeGrid(end=10.0, step=1.0))
