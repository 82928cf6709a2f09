"""Calcium fields on parts of a domain: conservation, fluxes and sources, ranks, files, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.kinetics import TRIGGER_WAVE, MembraneKinetics, li_rinzel, membrane_from_rates, resting_state
from homfem.kinetics.point import PointKinetics, Variable
from homfem.macro.calcium import (
    PER_PICOAMPERE,
    BoundaryFlux,
    CalciumModel,
    CalciumProblem,
    Exchange,
    Field,
    Messenger,
    Source,
    run_calcium,
)
from homfem.macro.domain import Domain
from homfem.macro.observers import Activation
from homfem.macro.probes import Probes
from homfem.macro.stimulus import Ball, Region
from homfem.output.checkpoint import CheckpointFile
from homfem.output.observers import Fields
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Schedule, TimeGrid

GAMMA_C, GAMMA_E, AREA = 0.75, 0.2, 2.0
MEMBRANE = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, interface_area=AREA)
REST = resting_state(MEMBRANE, total=3 * GAMMA_C, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, ip3=0.3)
BINDING = PointKinetics(
    name="buffer",
    time_unit="s",
    fields=tuple(Variable(name=name, unit="uM") for name in ("cytosol", "free", "bound")),
    rates=lambda t, f, x, p: (5.0 * f[2] - 10.0 * f[0] * f[1])[None],
    stoichiometry=((1.0,), (1.0,), (-1.0,)),
)


def measured(name: str, fraction: float, diffusivity: float, d: int) -> EffectiveTensor:
    return EffectiveTensor.measured(name, fraction * diffusivity, volume_fraction=fraction, dimension=d)


def square(comm, cells=8, d=2) -> Domain:
    """30 um wide; a round cleft without ER at the left, so that the interface is no plane."""
    low, high = [0.0] * d, [30.0] * d
    made = {
        1: lambda: mesh.create_interval(comm, cells, [0.0, 30.0]),
        2: lambda: mesh.create_rectangle(comm, [low, high], [cells, cells]),
        3: lambda: mesh.create_box(comm, [low, high], [cells] * 3),
    }[d]()
    near = lambda x: np.linalg.norm(x, axis=0) < 14.0  # noqa: E731
    return (
        Domain(mesh=made, unit="um")
        .with_regions({"cleft": near, "myo": lambda x: ~near(x)})
        .with_boundaries({"left": lambda x: x[0] < 1e-6, "right": lambda x: x[0] > 30 - 1e-6})
    )


def tissue(domain: Domain, **change) -> CalciumProblem:
    d = domain.dimension
    given = {
        "mesh": domain,
        "cytosol": {"cleft": 220.0, "myo": measured("cytosol", GAMMA_C, 20.0, d)},
        "er": {"myo": measured("er", GAMMA_E, 10.0, d)},
        "kinetics": li_rinzel(MEMBRANE),
        "ip3": 0.3,
        "initial_cytosol": lambda x: REST.cytosol + 0.5 * np.exp(-((x[0] / 8.0) ** 2)),
        "initial_er": REST.er,
        "initial_states": {"h": REST.inactivation},
        "interface_area": AREA,
    }
    return CalciumProblem(**(given | change))


def buffered(d: int) -> dict:
    """A mobile buffer in all cytosol, free and bound, and IP3 that diffuses."""
    capacity = {"cleft": 1.0, "myo": GAMMA_C}
    diffusion = {"cleft": 10.0 * np.eye(d), "myo": 8.0 * GAMMA_C * np.eye(d)}
    free, bound = (
        Field(name=name, capacity=capacity, diffusion=diffusion, initial=value, calcium=calcium)
        for name, value, calcium in (("free", 10.0, 0.0), ("bound", 2.0, 1.0))
    )
    return {
        "species": [free, bound],
        "exchanges": [Exchange(kinetics=BINDING, per="cytosol", parameters={})],
        "ip3": Messenger(
            initial=lambda x: 0.3 + 0.1 * np.sin(x[0] / 9.0), diffusivity_ratio=2.0, degradation=0.1, rest=0.3
        ),
    }


def pumped() -> dict:
    """A pump at the left, an influx in pulses at the right, a channel, a puff in a ball and one in the ER."""
    pump = lambda t, c: -2.0 * c["cytosol"] ** 2 / (0.04 + c["cytosol"] ** 2)  # noqa: E731
    pulses = Schedule(start=0.013, duration=0.05, period=0.09, pulses=None)
    return {
        "fluxes": [
            BoundaryFlux(boundary="left", flux=pump, name="pump"),
            BoundaryFlux(boundary="right", flux=0.3, schedule=pulses),
        ],
        "sources": [
            Source(place=Ball(centre=(20.0,), radius=4.0), strength=3.0),
            Source(place=Region(name="myo"), strength=-1.0, field="er", name="ER"),
        ],
    }


@pytest.mark.parametrize(
    ("change", "splitting", "steps"),
    [
        (lambda: buffered(1) | pumped(), "godunov", 10_000),
        (lambda: {}, "strang", 2_000),
        (lambda: buffered(1), "strang", 1_000),
        (pumped, "strang", 1_000),
    ],
    ids=["all", "mixed", "buffers", "open"],
)
def test_all_calcium_is_accounted_for(change, splitting, steps):
    """Free and bound, in both regions, less what has come in, whatever the linear solver leaves."""
    problem = tissue(square(MPI.COMM_SELF, 6, 1), **change())
    result = run_calcium(problem, TimeGrid(end=0.005 * steps, step=0.005), splitting=splitting, rtol=1e-4)
    assert result.drift < 1e-12
    assert len(result.total) == steps + 1
    if result.brought:
        assert result.brought["source"][-1] == pytest.approx(3.0 * 0.005 * steps, rel=1e-11)
        assert result.brought["ER"][-1] == pytest.approx(-0.005 * steps, rel=1e-11)
        assert result.brought["pump"][-1] < -1.0
        on = Schedule(start=0.013, duration=0.05, period=0.09, pulses=None).on(0.005 * steps)
        assert result.brought["right"][-1] == pytest.approx(0.3 * on, rel=1e-9)
        assert abs(result.total[-1] - result.total[0]) > 1.0
    else:
        assert np.ptp(result.cytosol.x.array) > 1e-3


def case_mixed(comm, splitting):
    problem = tissue(square(comm, 10), **buffered(2), **pumped_plane())
    result = run_calcium(problem, TimeGrid(end=0.05, step=0.005), splitting=splitting)
    kept = {name: by_place(function) for name, function in (*result.fields.items(), *result.states.items())}
    return {"fields": kept, "total": result.total.tolist(), "drift": result.drift,
            "brought": {name: float(values[-1]) for name, values in result.brought.items()}}  # fmt: skip


def pumped_plane() -> dict:
    changed = pumped()
    ball, er = changed["sources"]
    point = Source(place=(21.3, 11.1), strength=5.0, name="channel")
    changed["sources"] = [Source(place=Ball(centre=(20.0, 10.0), radius=4.0), strength=ball.strength), er, point]
    return changed


def by_place(function) -> list[float]:
    """Nodal values in the order of the coordinates, on rank 0."""
    space = function.function_space
    owned = space.dofmap.index_map.size_local
    parts = space.mesh.comm.gather((space.tabulate_dof_coordinates()[:owned].round(6), function.x.array[:owned]))
    if parts is None:
        return []
    points, values = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return values[np.lexsort(points.T)].tolist()


@pytest.mark.mpi
@pytest.mark.parametrize("splitting", ["godunov", "strang"])
def test_same_fields_of_all_parts_on_1_2_3_ranks(on_ranks, splitting):
    one, *others = on_ranks(case_mixed, splitting=splitting)
    assert len(one["fields"]["er"]) < len(one["fields"]["cytosol"]) == 121
    assert len(one["fields"]["h"]) == len(one["fields"]["er"])
    for other in others:
        assert other["drift"] < 1e-12
        assert other["brought"] == pytest.approx(one["brought"], rel=1e-9)
        for name, values in one["fields"].items():
            assert other["fields"][name] == pytest.approx(values, rel=1e-8), name


def case_restart(comm, path, end, resume=False):
    activation = Activation("er", 15.0, name="of er")
    result = run_calcium(
        tissue(square(comm, 10), **buffered(2)),
        TimeGrid(end=end, step=0.02),
        checkpoint=CheckpointFile(path),
        resume=resume,
        observers=[activation],
    )
    return {"fields": {name: by_place(f) for name, f in (*result.fields.items(), *result.states.items())},
            "total": result.total.tolist(), "times": by_place(activation.times)}  # fmt: skip


@pytest.mark.mpi
@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 1), (2, 2)])
def test_a_run_goes_on_on_other_ranks(on_ranks, tmp_path, before, after):
    """Fields of parts stand in the checkpoint on their own meshes."""
    whole = case_restart(MPI.COMM_SELF, tmp_path / "whole", end=0.2)
    on_ranks(case_restart, ranks=(before,), path=str(tmp_path / "a"), end=0.1)
    again = on_ranks(case_restart, ranks=(after,), path=str(tmp_path / "a"), end=0.2, resume=True)[0]
    assert again["total"] == pytest.approx(whole["total"], rel=1e-12)
    for name, values in whole["fields"].items():
        assert again["fields"][name] == pytest.approx(values, rel=1e-9), name
    assert again["times"] == pytest.approx(whole["times"], rel=1e-9)


def test_a_run_that_goes_on_is_the_same_to_the_last_bit(tmp_path):
    whole = case_restart(MPI.COMM_SELF, tmp_path / "a", end=0.2)
    case_restart(MPI.COMM_SELF, tmp_path / "b", end=0.1)
    assert case_restart(MPI.COMM_SELF, tmp_path / "b", end=0.2, resume=True) == whole


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"er": {"myo": measured("er", GAMMA_E, 11.0, 2)}}, r"er in myo \(um\^2/s\)"),
        ({"cytosol": {"cleft": 221.0, "myo": measured("cytosol", GAMMA_C, 20.0, 2)}}, r"cytosol in cleft \(um\^2/s\)"),
        ({"fluxes": [BoundaryFlux(boundary="left", flux=0.1)]}, "fluxes and sources"),
        ({"density": {"myo": 1.1, "*": 1.0}}, "density"),
    ],
    ids=["er", "cytosol", "flux", "density"],
)
def test_a_checkpoint_of_another_tissue_is_refused(tmp_path, change, named):
    file, grid = CheckpointFile(tmp_path / "a"), TimeGrid(end=0.04, step=0.02)
    run_calcium(tissue(square(MPI.COMM_SELF)), grid, checkpoint=file)
    with pytest.raises(CheckpointError, match=named):
        run_calcium(tissue(square(MPI.COMM_SELF), **change), grid, checkpoint=file, resume=True)


def test_a_current_is_so_many_ions():
    """1 pA is 1e-12 C/s, two elementary charges an ion; in uM um^3 there are 602.2 ions (CODATA)."""
    ions = 1e-12 / (2 * 1.602176634e-19)
    assert pytest.approx(ions / 602.214076, rel=1e-9) == PER_PICOAMPERE
    assert pytest.approx(5182.13, abs=0.01) == PER_PICOAMPERE


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_fields_that_share_matrices_share_them(dimension):
    """The two buffers share; IP3 is calcium's tensor times two: capacity alike, matrix of another step."""
    model = CalciumModel(tissue(square(MPI.COMM_SELF, 4, dimension), **buffered(dimension)), step=0.02)
    groups = [[one.name for one, _ in group.fields] for group in model.diffusion.shared]
    assert groups == [["cytosol"], ["er"], ["ip3"], ["free", "bound"]]
    same = {"cytosol": measured("cytosol", 0.8, 5.0, dimension), "er": measured("er", 0.2, 5.0, dimension)}
    model = CalciumModel(tissue(square(MPI.COMM_SELF, 4, dimension), **same), step=0.02)
    assert [[(one.name, factor) for one, factor in group.fields] for group in model.diffusion.shared] == [
        [("cytosol", 1.0), ("er", 0.25)]
    ]


def test_fields_that_share_matrices_move_as_if_they_did_not():
    """A load on the second field of a group, whose matrices are a quarter of the first one's."""
    fields = []
    for shift in (1.0, 1.0 + 1e-11):
        same = {"cytosol": measured("cytosol", 0.8, 5.0 * shift, 2), "er": measured("er", 0.2, 5.0, 2)}
        source = Source(place=(12.0, 8.0), strength=20.0, field="er")
        problem = tissue(square(MPI.COMM_SELF), **same, sources=[source], density=0.0)
        fields.append(run_calcium(problem, TimeGrid(end=0.1, step=0.02)).er.x.array)
    assert fields[1] == pytest.approx(fields[0], rel=1e-8)
    assert np.ptp(fields[0]) > 0.1


def test_a_part_that_is_all_is_the_whole():
    """ER in every region by name is ER everywhere, and several types of ER may be one."""
    domain, grid = square(MPI.COMM_SELF), TimeGrid(end=0.2, step=0.02)
    cytosol, er = measured("cytosol", GAMMA_C, 20.0, 2), measured("er", GAMMA_E, 10.0, 2)
    plain = run_calcium(tissue(domain, cytosol=cytosol, er=er), grid)
    named = run_calcium(
        tissue(
            domain,
            cytosol={"cleft": cytosol, "myo": cytosol},
            er={"cleft": er, "myo": er},
            interface_area={"cleft": AREA, "*": AREA},
        ),
        grid,
    )
    assert named.er.x.array == pytest.approx(plain.er.x.array, rel=1e-12)
    assert named.cytosol.x.array == pytest.approx(plain.cytosol.x.array, rel=1e-12)


def test_er_of_another_type_exchanges_by_its_own_area():
    """Well mixed, without diffusion to speak of: each region as a tissue of its own."""
    domain, grid = square(MPI.COMM_SELF, 12), TimeGrid(end=0.2, step=0.02)
    types = {"cleft": (0.6, 0.3, 4.0), "myo": (GAMMA_C, GAMMA_E, AREA)}
    slow = {name: (measured("cytosol", c, 1e-9, 2), measured("er", e, 1e-9, 2)) for name, (c, e, _) in types.items()}
    start = {"initial_cytosol": 0.4, "initial_er": 12.0}
    both = run_calcium(
        tissue(
            domain,
            cytosol={name: pair[0] for name, pair in slow.items()},
            er={name: pair[1] for name, pair in slow.items()},
            interface_area={name: area for name, (_, _, area) in types.items()},
            **start,
        ),
        grid,
    )
    values = np.sort(both.cytosol.x.array)
    for name, (cytosol, er) in slow.items():
        alone = tissue(domain, cytosol=cytosol, er=er, interface_area=types[name][2], **start)
        found = run_calcium(alone, grid).cytosol.x.array[0]
        assert np.abs(values - found).min() < 1e-6
        assert np.count_nonzero(np.abs(values - found) < 1e-6) > 20
    assert both.drift < 1e-13


def test_fields_of_a_part_are_absent_outside(tmp_path):
    """In files they have a mesh of their own; a probe outside has no column of them."""
    import meshio

    domain = square(MPI.COMM_SELF)
    probes = Probes({"cleft": (2.0, 2.0), "tissue": (25.0, 25.0)})
    run_calcium(
        tissue(domain),
        TimeGrid(end=0.04, step=0.02),
        observers=[probes, Fields(tmp_path, every=1, domain=domain)],
    )
    assert {column.field for column in probes.columns if column.probe == "cleft"} == {"cytosol"}
    assert {column.field for column in probes.columns if column.probe == "tissue"} == {"cytosol", "er", "h"}
    files = sorted(path.name for path in tmp_path.glob("*.xdmf"))
    assert files == ["fields-er-h.xdmf", "fields.xdmf"]
    for name, fields in (("fields.xdmf", {"cytosol"}), ("fields-er-h.xdmf", {"er", "h"})):
        with meshio.xdmf.TimeSeriesReader(tmp_path / name) as reader:
            points, _ = reader.read_points_cells()
            data = reader.read_data(2)[1]
        assert set(data) >= fields
        for field in fields:
            assert np.isfinite(data[field]).all()
            assert len(data[field]) == len(points)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"er": {"cleft": measured("er", 0.2, 10.0, 2), "tail": measured("er", 0.2, 10.0, 2)}}, "er = 'tail'"),
        ({"initial_er": {"cleft": 5.0, "myo": 5.0}}, r"initial_er\.cleft = 'given'.*er lives in myo alone"),
        ({"initial_er": {}}, r"initial_er = \[\]"),
        ({"initial_cytosol": {"myo": 0.1}}, "initial_cytosol.*'cleft' would have none"),
        ({"initial_cytosol": {"myo": 0.1, "cleft": -0.1}}, r"initial_cytosol\.cleft = -0\.1"),
        ({"cytosol": {"myo": measured("cytosol", GAMMA_C, 20.0, 2)}, "er": {"cleft": measured("er", 0.2, 1.0, 2)}},
         r"er\.cleft = 'given'.*regions with cytosol"),
        ({"cytosol": {"cleft": -1.0, "myo": measured("cytosol", GAMMA_C, 20.0, 2)}}, r"cytosol\.cleft = -1"),
        ({"er": {"myo": measured("er", 0.4, 10.0, 2)}}, r"er\.myo = 0\.4.*<= 0\.25"),
        ({"interface_area": {"cleft": 1.0, "myo": 1.0}}, r"interface_area = \['cleft'\]"),
        ({"fluxes": [BoundaryFlux(boundary="top", flux=1.0)]}, r"fluxes\[0\]\.boundary = 'top'"),
        ({"fluxes": [BoundaryFlux(boundary="left", flux=1.0, field="er")]}, r"fluxes\[0\]\.boundary.*er reaches"),
        ({"fluxes": [BoundaryFlux(boundary="left", flux=1.0, field="k")]}, r"fluxes\[0\]\.field = 'k'"),
        ({"fluxes": [BoundaryFlux(boundary="left", flux=lambda t, c: np.ones(3))]}, r"left\.flux = \(3,\)"),
        ({"fluxes": [BoundaryFlux(boundary="left", flux=1.0)] * 2}, r"name = \['left'\]"),
        ({"sources": [Source(place=(31.0, 3.0), strength=1.0)]}, r"sources\[0\]\.place.*a point of the domain"),
        ({"sources": [Source(place=(3.0,), strength=1.0)]}, r"sources\[0\]\.place.*2 coordinates"),
        ({"sources": [Source(place=(1.0, 1.0), strength=1.0, field="er")]}, r"sources\[0\]\.place.*where the er is"),
        ({"sources": [Source(place=Ball(centre=(50.0, 50.0), radius=1.0), strength=1.0)]}, r"sources\[0\]\.radius"),
        ({"sources": [Source(place=Ball(centre=(1.0, 1.0), radius=1.0), strength=1.0, field="er")]},
         r"sources\[0\]\.place"),
        ({"sources": [Source(place=(3.0, 3.0), strength=float("nan"))]}, r"sources\[0\]\.strength"),
        ({"species": [Field(name="er", capacity={"*": 1.0}, diffusion=None, initial=0.0)]}, r"species = \['er'\]"),
        ({"exchanges": [Exchange(kinetics=BINDING, per="cytosol", parameters={})]}, "kinetics = 'free'"),
        ({"exchanges": [Exchange(kinetics=BINDING, per="volume", parameters={})]}, "exchanges = 'volume'"),
    ],
)  # fmt: skip
def test_bad_parts_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        run_calcium(tissue(square(MPI.COMM_SELF), **change), TimeGrid(end=0.04, step=0.02))


def test_regions_that_bound_nothing_are_refused():
    """ER in a region that touches no other, and in one without cells."""
    made = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [30, 30]], [6, 6])
    domain = Domain(mesh=made, unit="um").with_regions({"cleft": lambda x: x[0] < 15, "myo": lambda x: x[0] > 15})
    from dataclasses import replace

    empty = replace(domain, regions={**domain.regions, "none": 7})
    with pytest.raises(InputError, match=r"er = \['none'\].*meet the rest.*no cells"):
        tissue(empty, cytosol={"*": measured("cytosol", GAMMA_C, 20.0, 2)}, er={"none": measured("er", 0.2, 1.0, 2)})


@pytest.mark.parametrize("name", ["cytosol", "er"])
def test_a_negative_concentration_ends_the_run(name):
    """It names the field, the time and the place, and nothing is clipped."""
    step = {"cytosol": 1.0, "er": -1.0}[name]
    greedy = MembraneKinetics(
        name="greedy",
        states=(),
        flux=lambda c, e, x, p: np.full_like(c, -step * 8.0),
        relaxation=lambda c, e, x, p: (x, x),
        steady=lambda c, e, p: np.empty((0, c.size)),
    )
    problem = tissue(
        square(MPI.COMM_SELF), kinetics=greedy, initial_states={}, density=lambda x: 1.0 * (x[0] + x[1] > 59.0)
    )
    with pytest.raises(ConvergenceError, match=rf"{name} = -[0-9.e-]+ uM < 0 at t = [0-9.]+ s, at \(30, 30\) um"):
        run_calcium(problem, TimeGrid(end=4.0, step=0.02))


def test_round_off_below_zero_is_none():
    """A diffusion that leaves -1e-13 of the largest is no reason to stop; 1e-6 of it is."""
    model = CalciumModel(tissue(square(MPI.COMM_SELF)), step=0.02)
    numbers = {"total": 1.0, "minimum": 0.1, "minimum of er": 1.0}
    model.judge(0.0, numbers | {"minimum of er": -1e-13 * REST.er})
    model.unknowns["er"].values[3] = -1e-6 * REST.er
    with pytest.raises(ConvergenceError, match="er = "):
        model.judge(0.0, numbers | {"minimum of er": -1e-6 * REST.er})


def test_ip3_diffuses_and_is_degraded_towards_rest():
    """Well mixed: an exponential; a cosine over it decays by diffusion, too."""
    import math

    length, rate, ratio = 30.0, 0.4, 3.0
    domain = mesh.create_interval(MPI.COMM_SELF, 200, [0.0, length])
    q = math.pi / length
    problem = tissue(
        Domain(mesh=domain, unit="um"),
        cytosol=measured("cytosol", GAMMA_C, 20.0, 1),
        er=measured("er", GAMMA_E, 10.0, 1),
        ip3=Messenger(
            initial=lambda x: 0.5 + 0.2 * np.cos(q * x[0]), diffusivity_ratio=ratio, degradation=rate, rest=0.1
        ),
    )
    result = run_calcium(problem, TimeGrid(end=2.0, step=0.01))
    function = result.fields["ip3"]
    x = function.function_space.tabulate_dof_coordinates()[:, 0]
    mean = 0.1 + 0.4 * math.exp(-2.0 * rate)
    wave = 0.2 * math.exp(-2.0 * (rate + ratio * 20.0 * q**2)) * np.cos(q * x)
    assert function.x.array == pytest.approx(mean + wave, abs=2e-5)
    assert result.drift < 1e-13


@pytest.mark.parametrize(
    ("change", "named"),
    [({"diffusivity_ratio": 0.0}, "ip3.diffusivity_ratio"), ({"degradation": -1.0}, "ip3.degradation"),
     ({"rest": -0.1}, "ip3.rest")],
)  # fmt: skip
def test_bad_messengers_are_refused(change, named):
    with pytest.raises(InputError, match=named):
        Messenger(**({"initial": 0.3, "diffusivity_ratio": 1.0} | change))
