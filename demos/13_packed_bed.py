r"""A packed bed: spheres give porosity, D*, permeability and area; the reactor takes them, beside exact solutions.

    docker/run python demos/13_packed_bed.py [--fine] [--out FOLDER]

Gas flows through a bed of catalytic spheres (diameter 0.2 mm, face-centred cubic, porosity 0.4) and reacts on their
surface. The equation is that of oxygen in tissue: pores for blood, porosity for volume fraction, catalyst for uptake,

$$\varphi\,u_t + v\,u_x = D^* u_{xx} - k_s\frac{|\Gamma|}{|Y|}\,u .$$

1. **The cell**: D*/D between bounds, the permeability beside Kozeny and Carman, the area per volume 6(1 - phi)/d.
2. **A tracer** enters: beside Ogata and Banks 1961.
3. **The reactor** with the inlet of Danckwerts (v u_0 = v u - D* u_x) for several rates at once: profiles, and the
   conversion beside Wehner and Wilhelm 1956.

What holds: the rate on the surface is slow where Da = k_s d/D << 1 (it is .02 at most here; else a film around each
sphere is depleted, and k_s|Gamma|/|Y| is an upper bound). D* is that of diffusion alone where the Peclet number of a
sphere, v d/(phi D), is about 1 at most (here 1.2); a faster flow disperses, and D* must come from elsewhere.

Sources: Danckwerts 1953, doi 10.1016/0009-2509(53)80001-1; Wehner, Wilhelm 1956, doi 10.1016/0009-2509(56)80014-6;
Ogata, Banks 1961, US Geological Survey Professional Paper 411-A; Carman 1937 (K = phi^3 d^2/(180 (1 - phi)^2)).

``demos/13_packed_bed.toml`` is one of the reactors as a config.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import special

from homfem import homogenize_diffusion, homogenize_stokes
from homfem.bodies import box_mesh
from homfem.cells import sphere_array
from homfem.kinetics import combined_reactions, named_reaction
from homfem.macro.conditions import Condition, Dirichlet, Neumann, Outflow
from homfem.macro.domain import Domain
from homfem.macro.reaction_diffusion import ReactionDiffusion, Species, run_reaction_diffusion, solve_at_rest
from homfem.output.cell_figures import draw_unit_cell
from homfem.output.charts import charts
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
# Units: mm, s; u relative to the feed.
DIAMETER, POROSITY, D = 0.2, 0.4, 20.0  # of a sphere; of the bed; of the gas
LENGTH, SPEED = 10.0, 50.0  # of the bed; flux per area of the bed
VISCOSITY = 1.8e-5  # Pa s
SURFACE_RATES = (0.06, 0.2, 0.5, 1.0, 2.0)  # k_s


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def danckwerts(s: Any, peclet: float, damkoehler: float) -> Any:
    """Return u/u_0 at s = x/L in a reactor with axial dispersion: Da = kL/v, Pe = vL/D*; at 1 Wehner and Wilhelm's."""
    a = np.sqrt(1.0 + 4.0 * damkoehler / peclet)
    over = (1.0 + a) * np.exp(0.5 * peclet * s * (1.0 - a))
    over -= (1.0 - a) * np.exp(0.5 * peclet * (s * (1.0 + a) - 2.0 * a))
    return 2.0 * over / ((1.0 + a) ** 2 - (1.0 - a) ** 2 * np.exp(-a * peclet))


def ogata_banks(x: Any, t: Any, speed: float, dispersion: float) -> Any:
    """Return what has come into an empty half line whose inlet is at 1 since t = 0."""
    ahead, behind = ((x + sign * speed * t) / (2.0 * np.sqrt(dispersion * t)) for sign in (-1.0, 1.0))
    return 0.5 * (special.erfc(ahead) + np.exp(-ahead * ahead) * special.erfcx(behind))


def column(length: float, count: int) -> Domain:
    """Return an interval whose ends are the inlet and the outlet."""
    mesh = box_mesh(COMM, [length], [count])
    return Domain(mesh=mesh, unit="mm").with_boundaries(
        {"inlet": lambda x: x[0] < 1e-9, "outlet": lambda x: x[0] > length - 1e-9}
    )


def values(function: Any) -> tuple[Any, Any]:
    """Return the nodes of an interval in order and the values there, on every rank."""
    own = function.function_space.dofmap.index_map.size_local
    x = np.concatenate(COMM.allgather(function.function_space.tabulate_dof_coordinates()[:own, 0]))
    order = np.argsort(x)
    return x[order], np.concatenate(COMM.allgather(function.x.array[:own]))[order]


def species(name: str, dispersion: float, inlet: Condition) -> Species:
    """Return a species that flows through the bed."""
    return Species(
        name=name, tensor=dispersion, volume_fraction=POROSITY, velocity=[SPEED],
        conditions=(inlet, Outflow(boundary="outlet")),
    )  # fmt: skip


def breakthrough(dispersion: float, count: int, step: float) -> list[tuple[float, Any, Any, Any]]:
    """Return for some times the nodes, the tracer and Ogata and Banks, in a bed whose end is out of reach."""
    tracer = species("tracer", dispersion, Dirichlet(boundary="inlet", value=1.0))
    problem = ReactionDiffusion(mesh=column(1.6 * LENGTH, count), species=(tracer,))
    found = []
    for end in (0.02, 0.04, 0.06, 0.08):
        done = run_reaction_diffusion(problem, TimeGrid(end=end, step=step))
        x, u = values(done.fields["tracer"])
        found.append((end, x, u, ogata_banks(x, end, SPEED / POROSITY, dispersion / POROSITY)))
    return found


def reactors(dispersion: float, area: float, count: int) -> dict[float, tuple[Any, Any]]:
    """Return the steady profile for each rate of the surface: one run, a species for each."""
    names = [f"gas{k}" for k in range(len(SURFACE_RATES))]
    kinetics = combined_reactions(
        {
            f"on_{name}": named_reaction(
                "first-order", [name], parameters={"surface_rate": rate, "interface_area": area}, length_unit="mm"
            )
            for name, rate in zip(names, SURFACE_RATES, strict=True)
        }
    )
    feed = Neumann(boundary="inlet", flux=SPEED)  # v u_0 with u_0 = 1 comes in, by flow and diffusion together
    problem = ReactionDiffusion(
        mesh=column(LENGTH, count), species=[species(name, dispersion, feed) for name in names], kinetics=kinetics
    )
    done = solve_at_rest(problem)
    return {rate: values(done.fields[name]) for name, rate in zip(names, SURFACE_RATES, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/13_packed_bed"), help="folder of the pictures")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for the tests")
    parser.add_argument("--fine", action="store_true", help="fine meshes")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    theme = "dark" if chosen.dark else "light"

    period = (4.0 * np.pi / 6.0 * DIAMETER**3 / (1.0 - POROSITY)) ** (1.0 / 3.0)
    bed = sphere_array(
        "face-centred", fraction=1.0 - POROSITY, period=period, length_unit="mm", mirrors="auto",
        resolution=0.3 if chosen.coarse else 0.1 if chosen.fine else 0.2,
    )  # fmt: skip
    tensor = homogenize_diffusion(bed, {"matrix": D}, unit="mm^2/s", symmetry="auto")
    permeability = homogenize_stokes(bed, fluid="matrix", symmetry="auto").value[0, 0]
    area, dispersion = tensor.interface_area, float(tensor.value[0, 0])
    carman = POROSITY**3 * DIAMETER**2 / (180.0 * (1.0 - POROSITY) ** 2)
    say(f"D*/D between {tensor.lower[0, 0] / D:.5f} and {tensor.upper[0, 0] / D:.5f}")
    say(f"permeability {permeability:.4g} mm^2, Kozeny-Carman {carman:.4g} mm^2: "
        f"{VISCOSITY * SPEED * LENGTH / permeability:.0f} Pa drive the flow")  # fmt: skip
    say(f"area per volume {area:.3f} /mm, 6(1 - phi)/d = {6.0 * (1.0 - POROSITY) / DIAMETER:.3f} /mm")
    assert abs(permeability / carman - 1.0) < 0.25
    assert abs(area * DIAMETER / (6.0 * (1.0 - POROSITY)) - 1.0) < 0.01
    say(f"Peclet number of a sphere {SPEED * DIAMETER / POROSITY / D:.2f}, of the bed "
        f"{SPEED * LENGTH / dispersion:.0f}; Da = k_s d/D up to {max(SURFACE_RATES) * DIAMETER / D:.3f}")  # fmt: skip

    count, step = (160, 0.001) if chosen.coarse else (800, 0.00025) if chosen.fine else (400, 0.0005)
    fronts = breakthrough(dispersion, count, step)
    off = max(np.abs(u - exact).max() for _, _, u, exact in fronts)
    say(f"tracer: within {off:.4f} of Ogata and Banks")
    assert off < 30.0 * step

    profiles = reactors(dispersion, area, count)
    peclet = SPEED * LENGTH / dispersion
    for rate, (x, u) in profiles.items():
        damkoehler = rate * area * LENGTH / SPEED
        exact = danckwerts(x / LENGTH, peclet, damkoehler)
        say(f"k_s = {rate:4.2f} mm/s, Da = {damkoehler:5.2f}: conversion {1.0 - u[-1]:.4f}, Wehner and Wilhelm "
            f"{1.0 - exact[-1]:.4f}, plug flow {1.0 - np.exp(-damkoehler):.4f}")  # fmt: skip
        assert np.abs(u - exact).max() < 1e-3
    if COMM.rank == 0:
        draw(chosen.out / "reactor", fronts, profiles, peclet, area, theme)
    COMM.barrier()
    draw_unit_cell(bed, chosen.out / "bed.png", theme=theme)


def draw(path: Path, fronts: Any, profiles: Any, peclet: float, area: float, theme: str) -> None:
    """Draw the tracer, the profiles and the conversion, with the exact solutions as lines."""

    def both(axes: Any, x: Any, found: Any, exact: Any, number: int, label: str) -> None:
        axes.plot(x, exact, color=f"C{number}", lw=1.2, label=label)
        some = slice(None, None, max(1, len(x) // 30))
        axes.plot(x[some], found[some], "o", ms=3, mfc="none", color=f"C{number}")

    with charts(path, 1, 3, size=(4.0, 3.9), theme=theme) as (tracer, reactor, outlet):
        for number, (end, x, u, exact) in enumerate(fronts):
            both(tracer, x, u, exact, number, f"{1e3 * end:.0f} ms")
        tracer.set(xlabel="x (mm)", ylabel="tracer / inlet", title="(a) tracer, Ogata and Banks")
        tracer.legend()
        numbers = {rate: rate * area * LENGTH / SPEED for rate in profiles}
        for number, (rate, (x, u)) in enumerate(profiles.items()):
            both(reactor, x, u, danckwerts(x / LENGTH, peclet, numbers[rate]), number, f"{rate:g}")
        reactor.set(xlabel="x (mm)", ylabel="u / feed", title="(b) reactor, Danckwerts", ylim=(-0.06, 1.03))
        reactor.legend(title="$k_s$ (mm/s)", loc="center left", bbox_to_anchor=(1.0, 0.5))
        many = np.linspace(0.0, 8.0, 100)
        outlet.plot(many, np.exp(-many), color="0.55", ls="--", lw=1.0, label="plug flow")
        outlet.plot(many, danckwerts(1.0, peclet, many), color="C4", label="Wehner and Wilhelm")
        outlet.plot(many, 1.0 / (1.0 + many), color="0.55", ls=":", lw=1.0, label="stirred tank")
        outlet.plot(list(numbers.values()), [u[-1] for _, u in profiles.values()], "o", color="C0", label="model")
        outlet.set(yscale="log", xlabel="Da = $k_s|\\Gamma|L/(|Y|v)$", ylabel="outlet / feed", title="(c) what is left")
        outlet.legend()


if __name__ == "__main__":
    main()
