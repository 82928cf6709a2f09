"""Single cells of calcium beside published numbers and independent programs: periods, Hopf points, states of rest."""

from __future__ import annotations

from collections.abc import Iterator

from homfem.validation.rows import Row

_EQUATIONS = "their equations by SciPy at a tolerance of 1e-10, in a program that is independent of homfem"
DE_YOUNG_KEIZER = f"De Young and Keizer 1992, PNAS 89, 9895; {_EQUATIONS}"
LI_RINZEL = f"Li and Rinzel 1994, Journal of Theoretical Biology 166, 461, numbers of De Young and Keizer; {_EQUATIONS}"
#: IP3 (uM) -> period (s) and largest c (uM) of the closed cell, 2 uM.
LI_RINZEL_CYCLES = {0.4: (12.766731, 0.313012), 0.5: (11.491983, 0.444557)}
DE_YOUNG_KEIZER_CYCLES = {0.4: (15.011535, 0.300913), 0.5: (13.054541, 0.440685)}
#: IP3 (uM) between which the state of rest is not stable.
LI_RINZEL_HOPF, DE_YOUNG_KEIZER_HOPF = (0.3545338, 0.6368818), (0.3667071, 0.6155057)

ATRI = (
    "Kaouri, Maini, Skourides, Christodoulou and Chapman 2019, Journal of Mathematical Biology 78, 2059: "
    "the model of Atri et al. 1993 with k_flux 16.2 uM/s and without leak oscillates for mu from .289 to .495"
)
ATRI_HOPF = (0.289, 0.495)

KEIZER_LEVINE = "Keizer and Levine 1996, Biophysical Journal 71, 3477, constants of equilibrium as they are quoted"
#: Ka^4 (uM^4), Kb^3 (uM^3), Kc.
KEIZER_LEVINE_CONSTANTS = (0.0192, 0.2573, 0.0571)

WAVE = "a set that carries a wave (v1 12/s, v3 2.5 uM/s, total 3 uM, IP3 .3 uM), computed independently of homfem"
WAVE_REST = {"cytosol": 0.100, "er": 15.68}


def calcium_rows() -> Iterator[Row]:
    """Yield periods, Hopf points and states of rest of single cells; some seconds on one core."""
    yield from _cycles()
    yield from _hopf()
    yield from _rest()


def _cycles() -> Iterator[Row]:
    from homfem.kinetics.calcium import calcium_kinetics
    from homfem.kinetics.calcium.oscillations import Cell, limit_cycle

    for name, cycles, source in (
        ("li-rinzel", LI_RINZEL_CYCLES, LI_RINZEL),
        ("de-young-keizer", DE_YOUNG_KEIZER_CYCLES, DE_YOUNG_KEIZER),
    ):
        cell = Cell(calcium_kinetics(name))
        for ip3, (period, largest) in cycles.items():
            found = limit_cycle(cell, parameters={"ip3": ip3}, settle=120.0, tolerance=1e-8)
            ours = (float("nan"),) * 2 if found is None else (found.period, found.largest)
            told = f"{name}, IP3 {ip3:g} uM"
            yield Row(name=f"{told}: period", ours=ours[0], theirs=period, unit="s", allowed=1e-4, source=source)
            yield Row(name=f"{told}: largest c", ours=ours[1], theirs=largest, unit="uM", allowed=1e-3, source=source)


def _hopf() -> Iterator[Row]:
    from homfem.kinetics.calcium import calcium_kinetics
    from homfem.kinetics.calcium.oscillations import Cell, hopf_points

    for name, ends, source in (
        ("li-rinzel", LI_RINZEL_HOPF, LI_RINZEL),
        ("de-young-keizer", DE_YOUNG_KEIZER_HOPF, DE_YOUNG_KEIZER),
    ):
        found = hopf_points(Cell(calcium_kinetics(name)), "ip3", 0.25, 0.75, number=10)
        for place, theirs, (ours, _) in zip(("first", "last"), ends, (found[0], found[-1]), strict=True):
            told = f"{name}: {place} IP3 with oscillations"
            yield Row(name=told, ours=ours, theirs=theirs, unit="uM", allowed=1e-5, source=source)
    free = calcium_kinetics("atri").with_parameters({"k_flux": 16.2, "beta": 0.0, "mu0": 0.0, "mu1": 1.0})
    found = hopf_points(Cell(free, held=("er",)), "ip3", 1.0, 5.0, number=8)
    for place, theirs, (ip3, _) in zip(("first", "last"), ATRI_HOPF, (found[0], found[-1]), strict=True):
        told = f"atri: {place} mu with oscillations"
        yield Row(name=told, ours=ip3 / (4.0 + ip3), theirs=theirs, allowed=1e-3, source=ATRI)


def _rest() -> Iterator[Row]:
    from homfem.kinetics.calcium import calcium_kinetics
    from homfem.kinetics.calcium.oscillations import Cell

    values = {entry.name: entry.value for entry in calcium_kinetics("keizer-levine").parameters}
    for letter, power, theirs in zip("abc", ("^4", "^3", ""), KEIZER_LEVINE_CONSTANTS, strict=True):
        up, down = values[f"k{letter}_on"], values[f"k{letter}_off"]
        unit = f"uM{power}" if power else "1"
        told = f"keizer-levine: K{letter}{power}"
        yield Row(name=told, ours=down / up, theirs=theirs, unit=unit, allowed=2e-3, source=KEIZER_LEVINE)
    state = Cell(calcium_kinetics("li-rinzel", "trigger-wave")).rest({"ip3": 0.3})
    for (name, theirs), ours in zip(WAVE_REST.items(), state[:2], strict=True):
        told = f"trigger-wave at rest: {name}"
        yield Row(name=told, ours=float(ours), theirs=theirs, unit="uM", allowed=5e-3, source=WAVE)
