r"""Pumps, leaks and influx: mechanisms without receptors, through the membrane of the ER and the plasma membrane.

SERCA by Hill: :math:`J = v_3 c^2/(k_3^2 + c^2)` from the cytosol into the ER.

**Two states, reversible.** A pump binds two ions on the cytosolic side and releases them on the other,

.. math:: E + 2\,\mathrm{Ca}_c \rightleftharpoons E\mathrm{Ca}_2 \rightleftharpoons E + 2\,\mathrm{Ca}_e,\qquad
    k_1 c^2,\; k_{-1},\; k_2,\; k_{-2}e^2 .

With two ions for one ATP, it stands still at a ratio of concentrations that its energy sets,
:math:`r = e/c = \exp(-\Delta G_\mathrm{ATP}/2RT)`, so that :math:`k_1k_2 = r^2 k_{-1}k_{-2}`; this leaves, in a steady
state of the pump with :math:`k_3^2 = (k_{-1}+k_2)/k_1`, :math:`b = k_2/k_{-1}`,

.. math:: J = v_3\,\frac{c^2 - (e/r)^2}{k_3^2 + c^2 + b\,(e/r)^2},

which is the Hill pump for an empty ER, and never pumps beyond r. :func:`buffering_serca` has the share x of loaded
pumps as a state: what comes from the cytosol and what goes into the ER differ by what the pumps hold,
:math:`(v_3/k_2)\,x` per volume of cytosol.

Source: De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895 (Hill). Higgins, Cannell, Sneyd 2006, doi
10.1529/biophysj.105.075747 (pumps with two states that bind calcium).
"""

from __future__ import annotations

from homfem.kinetics.calcium.fluxes import BOUND, CYTOSOL, ER, IP3, OUTSIDE, SurfaceFlux, VolumeFlux, number
from homfem.kinetics.calcium.mechanisms import Mechanism, State

DE_YOUNG_KEIZER_TABLE = "De Young, Keizer 1992, table 1"
_CHOSEN = "chosen"


def hill_serca(v3: float = 0.9, k3: float = 0.1, source: str = DE_YOUNG_KEIZER_TABLE) -> Mechanism:
    """Return the SERCA pump by Hill: largest rate ``v3`` (uM/s per volume of cytosol), half at ``k3`` (uM)."""
    return Mechanism(
        name="serca",
        fluxes=(VolumeFlux(name="serca", source=CYTOSOL, target=ER, expression="v3*c^2/(k3^2 + c^2)"),),
        parameters=(
            number("v3", v3, "uM/s", "largest rate of the SERCA pump", source, zero=True),
            number("k3", k3, "uM", "concentration at half pump rate", source),
        ),
    )


def surface_serca(pump_flux: float, k3: float = 0.1) -> Mechanism:
    """Return the SERCA pump by Hill, per area: largest flux ``pump_flux`` (uM um/s), half at ``k3`` (uM)."""
    return Mechanism(
        name="serca",
        fluxes=(SurfaceFlux(name="serca", source=CYTOSOL, target=ER, expression="pump_flux*c^2/(k3^2 + c^2)"),),
        parameters=(
            number("pump_flux", pump_flux, "uM*um/s", "largest flux of the SERCA pump", _CHOSEN, zero=True),
            number("k3", k3, "uM", "concentration at half pump rate", DE_YOUNG_KEIZER_TABLE),
        ),
    )


_TWO_STATES = (
    number("v3", 0.9, "uM/s", "largest rate of the SERCA pump", DE_YOUNG_KEIZER_TABLE, zero=True),
    number("k3", 0.1, "uM", "concentration at half pump rate, of an empty ER", DE_YOUNG_KEIZER_TABLE),
    number("stall", 7000.0, "", "ratio of ER to cytosol at which the pump stands still", _CHOSEN),
    number("b", 1.0, "", "rate of release into the ER over that of return to the cytosol", _CHOSEN),
)


def reversible_serca() -> Mechanism:
    """Return the SERCA pump of two states in their steady state (module docstring)."""
    return Mechanism(
        name="serca",
        fluxes=(
            VolumeFlux(
                name="serca",
                source=CYTOSOL,
                target=ER,
                expression="v3*(c^2 - (e/stall)^2)/(k3^2 + c^2 + b*(e/stall)^2)",
            ),
        ),
        parameters=_TWO_STATES,
    )


def buffering_serca() -> Mechanism:
    """Return the SERCA pump of two states with the share ``pump`` of those that hold two ions (module docstring)."""
    return Mechanism(
        name="serca",
        definitions={
            "k_return": "k2/b",
            "k1": "(k_return + k2)/k3^2",
            "taken": "v3/k2*(k1*c^2*(1 - pump) - k_return*pump)",
            "released": "v3/k2*(k2*pump - k1*b*(e/stall)^2*(1 - pump))",
        },
        fluxes=(
            VolumeFlux(name="uptake", source=CYTOSOL, target=BOUND, expression="taken"),
            VolumeFlux(name="release", source=BOUND, target=ER, expression="released"),
        ),
        states=(
            State(
                name="pump",
                rate="k1*c^2 + k_return + k2 + k1*b*(e/stall)^2",
                target="(k1*c^2 + k1*b*(e/stall)^2)/(k1*c^2 + k_return + k2 + k1*b*(e/stall)^2)",
                meaning="share of pumps that hold calcium",
            ),
        ),
        parameters=(*_TWO_STATES, number("k2", 10.0, "1/s", "rate at which a pump releases into the ER", _CHOSEN)),
        shares=(("pump",),),
        holds={"pump": "v3/k2"},
    )


def er_leak(permeability: float) -> Mechanism:
    """Return a leak through the membrane of the ER, per area: ``permeability`` in um/s."""
    return Mechanism(
        name="leak",
        fluxes=(SurfaceFlux(name="leak", source=ER, target=CYTOSOL, expression="leak_permeability*(e - c)"),),
        parameters=(number("leak_permeability", permeability, "um/s", "permeability of the leak", _CHOSEN, zero=True),),
    )


def pmca(v_pm: float, k_pm: float = 0.425) -> Mechanism:
    """Return the pump of the plasma membrane by Hill: largest flux ``v_pm`` (uM um/s), half at ``k_pm`` (uM)."""
    return Mechanism(
        name="pmca",
        fluxes=(SurfaceFlux(name="pmca", source=CYTOSOL, target=OUTSIDE, expression="v_pm*c^2/(k_pm^2 + c^2)"),),
        parameters=(
            number("v_pm", v_pm, "uM*um/s", "largest flux of the pump of the plasma membrane", _CHOSEN, zero=True),
            number("k_pm", k_pm, "uM", "concentration at half its rate", "Sneyd et al. 2003, quoted"),
        ),
    )


def influx(j_in: float, j_ip3: float = 0.0) -> Mechanism:
    """Return an influx through the plasma membrane per its area: ``j_in`` (uM um/s) and ``j_ip3`` (um/s) times IP3."""
    return Mechanism(
        name="influx",
        fluxes=(SurfaceFlux(name="influx", source=OUTSIDE, target=CYTOSOL, expression="j_in + j_ip3*ip3"),),
        parameters=(
            number("j_in", j_in, "uM*um/s", "influx through the plasma membrane", _CHOSEN, zero=True),
            number("j_ip3", j_ip3, "um/s", "influx that IP3 opens", _CHOSEN, zero=True),
        ),
    )


def store_operated_influx(v_soc: float, k_soc: float = 50.0) -> Mechanism:
    """Return the influx that an empty ER opens, per plasma membrane: ``v_soc`` (uM um/s), half at ``k_soc`` (uM).

    Source: Croisier et al. 2013, doi 10.1371/journal.pone.0069598 (form, ``k_soc``; quoted).
    """
    return Mechanism(
        name="store-operated influx",
        fluxes=(
            SurfaceFlux(
                name="store_operated", source=OUTSIDE, target=CYTOSOL, expression="v_soc*k_soc^4/(k_soc^4 + e^4)"
            ),
        ),
        parameters=(
            number("v_soc", v_soc, "uM*um/s", "largest store-operated influx", _CHOSEN, zero=True),
            number("k_soc", k_soc, "uM", "calcium of the ER that opens half of it", "Croisier et al. 2013, quoted"),
        ),
    )


def ip3_turnover(v4: float = 0.4, alpha: float = 0.0) -> Mechanism:
    r"""Return production and degradation of IP3, which is a field then.

    .. math:: \dot p = v_4\,\frac{c + (1-\alpha)k_4}{c + k_4} - I_r\,p

    per volume of cytosol; :math:`\alpha` from 0 to 1 says how much calcium stimulates the production.

    Source: De Young, Keizer 1992, eq 6 (form, k4, Ir).
    """
    return Mechanism(
        name="IP3",
        fluxes=(
            VolumeFlux(
                name="ip3_production", source=OUTSIDE, target=IP3, expression="v4*(c + (1 - alpha)*k4)/(c + k4)"
            ),
            VolumeFlux(name="ip3_degradation", source=IP3, target=OUTSIDE, expression="ip3_rate*ip3"),
        ),
        parameters=(
            number("v4", v4, "uM/s", "largest rate of production of IP3", _CHOSEN, zero=True),
            number("alpha", alpha, "", "how much calcium stimulates it", _CHOSEN, zero=True),
            number("k4", 1.1, "uM", "concentration at which it does by half", DE_YOUNG_KEIZER_TABLE),
            number("ip3_rate", 1.0, "1/s", "rate of degradation of IP3", DE_YOUNG_KEIZER_TABLE, zero=True),
        ),
    )
