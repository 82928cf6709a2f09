r"""A left ventricle beats: fibres that turn through the wall, a map of activation times, an electrocardiogram.

    docker/run python demos/17_ventricle.py [--out FOLDER]

1. **The velocities** along and across the fibres are wanted to be 0.6 and 0.3 mm/ms. The mesh of a whole ventricle is
   too coarse for the measured conductivities to give them, so they are tuned on a cable of the same elements and step,
   as users of every code do before a run; the demo says by how much this mesh is off.
2. **The ventricle** is made by Gmsh between two ellipsoids; the fibres turn from +60 to -60 degrees through the wall.
   It is stimulated low on the endocardium, where the Purkinje system would bring the beat.
3. **The run** of the monodomain gives when each place is activated and when it repolarises. The membrane of the
   epicardium has more of the slow potassium current, so that what is activated last repolarises first.
4. **The electrocardiogram** of a ventricle in a large conductor: a vector per electrode, made once, and a dot product
   per time. The QRS complex lasts as long as the activation, and is over before the T wave begins.

Fibres: Land et al. 2015, doi 10.1098/rspa.2015.0641. Membrane: ten Tusscher, Panfilov 2006,
doi 10.1152/ajpheart.00109.2006. Electrocardiogram: Gima, Rudy 2002, doi 10.1161/01.RES.0000016960.61087.86.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.action_potentials import ActionPotentials
from homfem.macro.cardiac import CardiacProblem, cardiac_ecg, solve_cardiac
from homfem.macro.cardiac.tuning import Cable, tune_conductivities
from homfem.macro.conduction import conduction_velocity
from homfem.macro.domain_makers import ventricle_domain
from homfem.macro.fibre_rules import ellipsoid_fibres
from homfem.macro.leads import LeadSeries, standard_leads
from homfem.macro.probes import Probes
from homfem.macro.stimulus import Ball, Stimulus
from homfem.meshing.shapes.ventricles import Ventricle
from homfem.output.charts import charts
from homfem.output.panels import draw_isochrone_panel
from homfem.output.views import SeriesView
from homfem.output.waves import FieldRecord
from homfem.timestepping import Schedule, TimeGrid

COMM = MPI.COMM_WORLD
# mm, ms, mV, mS/mm, 1/mm, uF/mm^2, uA/mm^3.
SHAPE = Ventricle(endo=(7.0, 17.0), epi=(10.0, 20.0), base=5.0)
WANTED = {"along": 0.6, "across": 0.3}
INTRACELLULAR, EXTRACELLULAR = {"along": 0.17, "across": 0.019}, {"along": 0.62, "across": 0.24}  # Clerc 1976
AREA, CAPACITANCE, TORSO = 140.0, 0.01, 0.2
SITE = (-5.0, 0.0, -11.9)  # low on the endocardium, on the side of the right arm
ELECTRODES = {"RA": (-60.0, 0.0, 60.0), "LA": (60.0, 0.0, 60.0), "LL": (20.0, 0.0, -90.0)}
PLACES = {"endocardium": (0.0, 7.2, 0.0), "epicardium": (0.0, 9.8, 0.0)}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/17_ventricle"), help="folder of the pictures")
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh, for the tests")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    size, step, end = (1.2, 0.1, 450.0) if chosen.coarse else (0.7, 0.1, 450.0)

    membrane = ionic_kinetics("tentusscher-panfilov-2006", "epi")
    cable = Cable(size=size, step=step, membrane=membrane, area=AREA, capacitance=CAPACITANCE)
    tuned = tune_conductivities(WANTED, cable, intracellular=INTRACELLULAR, extracellular=EXTRACELLULAR, refinement=2)
    for name, found in tuned.items():
        say(f"{name}: {found.conductivity:.4f} mS/mm give {found.velocity:.3f} mm/ms with elements of {size:g} mm, "
            f"{found.fine_velocity:.3f} with half of that")  # fmt: skip
    inside, outside = (
        np.diag([getattr(tuned[name], side) for name in ("along", "across", "across")])
        for side in ("intracellular", "extracellular")
    )

    heart = ventricle_domain(COMM, SHAPE, resolution=size)
    heart = heart.with_fibres(ellipsoid_fibres(heart, alpha_endo=60.0, alpha_epi=-60.0))
    pulse = Schedule(start=0.0, duration=2.0)
    beat = Stimulus(place=Ball(centre=SITE, radius=2.5), amplitude=60.0, schedule=pulse)
    problem = CardiacProblem(
        mesh=heart, membrane=membrane, area=AREA, capacitance=CAPACITANCE, intracellular=inside, extracellular=outside,
        parameters={"g_Ks": lambda x: 0.25 + 0.2 * np.clip(SHAPE.depth(x.T), 0.0, 1.0)}, stimuli=(beat,),
    )  # fmt: skip
    electrodes = cardiac_ecg(problem, ELECTRODES, bath=TORSO)
    leads = LeadSeries(electrodes.combined(standard_leads(electrodes.names)), every=round(1.0 / step))
    beats, probes = ActionPotentials("V", -40.0, levels=[80.0]), Probes(PLACES, every=round(1.0 / step))
    grid = TimeGrid(end=end, step=step)
    done = solve_cardiac(problem, grid, threshold=-40.0, observers=[leads, beats, probes])
    say(done.table())

    durations = beats.duration(80)
    last, apd = largest(done.activation), [largest(durations, sign) for sign in (-1.0, 1.0)]
    speed = conduction_velocity(done.activation, fastest=3.0)
    assert heart.fibres is not None
    axis = heart.fibres.axes()[0]
    along = speed.along(axis, within=20.0).mean
    say(f"all activated after {last:.1f} ms; APD80 from {-apd[0]:.0f} to {apd[1]:.0f} ms")
    say(f"conduction velocity where the front runs along the fibres {along:.2f} mm/ms")
    ecg = np.array([leads.values(name) for name in ("I", "II", "III")])
    quiet = np.abs(ecg[:, (leads.times > last + 30.0) & (leads.times < last + 80.0)]).max()
    t_wave = np.abs(ecg[:, leads.times > last + 80.0]).max()
    say(f"electrocardiogram: QRS {1e3 * np.abs(ecg).max():.0f} uV, at most {1e3 * quiet:.0f} uV after it, T wave "
        f"{1e3 * t_wave:.0f} uV")  # fmt: skip
    assert missing(done.activation) == 0
    assert missing(durations) == 0
    assert 20.0 < last < 120.0
    assert 240.0 < -apd[0] < apd[1] < 370.0
    assert abs(along / WANTED["along"] - 1.0) < (0.4 if chosen.coarse else 0.1)
    assert quiet < 0.2 * np.abs(ecg).max()
    assert t_wave > 2.0 * quiet

    record = FieldRecord()
    record.add(done.activation, 0.0)
    if COMM.rank == 0:
        theme = "dark" if chosen.dark else "light"
        chosen.out.mkdir(parents=True, exist_ok=True)
        view = SeriesView(label="activation (ms)", style="body", length_unit="mm", time_unit="ms", theme=theme)
        draw_isochrone_panel(chosen.out / "activation.png", record.points, record.cells, record.values[0], view)
        curves = {name: (probes.times, probes.values(name, "V")) for name in PLACES}
        draw(chosen.out / "electrocardiogram", curves, leads, last, theme)


def largest(function: Any, sign: float = 1.0) -> float:
    """Return the largest value of a function, or minus the least, over all ranks and nodes where it has one."""
    own = function.x.array[: function.function_space.dofmap.index_map.size_local]
    return float(COMM.allreduce(np.max(sign * own[np.isfinite(own)], initial=-np.inf), op=MPI.MAX))


def missing(function: Any) -> int:
    """Return at how many nodes a function has no value, over all ranks."""
    own = function.x.array[: function.function_space.dofmap.index_map.size_local]
    return int(COMM.allreduce(np.count_nonzero(~np.isfinite(own))))


def draw(path: Path, curves: Any, leads: LeadSeries, last: float, theme: str) -> None:
    """Draw the leads of Einthoven, and the action potentials in and outside of the wall."""
    with charts(path, 1, 2, size=(4.8, 3.4), theme=theme) as (left, right):
        for name in ("I", "II", "III"):
            left.plot(leads.times, 1e3 * leads.values(name), lw=1.2, label=name)
        left.axvline(last, color="0.55", lw=0.8, ls=":")
        left.annotate("all activated", (last, 0.0), (4, -40), textcoords="offset points", fontsize=8)
        left.set(xlabel="time (ms)", ylabel="lead (uV)", title="(a) electrocardiogram")
        left.legend(loc="lower right")
        for name, (times, values) in curves.items():
            right.plot(times, values, label=name)
        right.set(xlabel="time (ms)", ylabel="V (mV)", title="(b) action potentials")
        right.legend()


if __name__ == "__main__":
    main()
