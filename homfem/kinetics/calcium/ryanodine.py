r"""Ryanodine receptors of Keizer and Levine: four states, and the reduced form with one.

.. math:: C_1 \rightleftharpoons O_1\ (k_a^+c^4,\ k_a^-),\qquad O_1 \rightleftharpoons O_2\ (k_b^+c^3,\ k_b^-),\qquad
    O_1 \rightleftharpoons C_2\ (k_c^+,\ k_c^-).

The open probability is :math:`O_1 + O_2`. With the first two in equilibrium, :math:`w = 1 - C_2` is left:

.. math::
    P = w\,\frac{1 + (c/K_b)^3}{D - K_c^{-1}},\quad \dot w = \frac{k_c^-(w_\infty - w)}{w_\infty},\quad
    w_\infty = \frac{D - K_c^{-1}}{D},\quad D = 1 + K_c^{-1} + (K_a/c)^4 + (c/K_b)^3,

with :math:`K_a^4 = k_a^-/k_a^+`, :math:`K_b^3 = k_b^-/k_b^+`, :math:`K_c = k_c^-/k_c^+`; both are multiplied by
:math:`c^4` here, so that c = 0 is like any other.

Source: Keizer, Levine 1996, Biophys. J. 71, 3477, doi 10.1016/S0006-3495(96)79543-7.
"""

from __future__ import annotations

from homfem.kinetics.calcium.fluxes import CYTOSOL, ER, VolumeFlux, number
from homfem.kinetics.calcium.ip3_receptors import _C1
from homfem.kinetics.calcium.mechanisms import Mechanism, State
from homfem.kinetics.calcium.receptors import Receptor, check_reversible

_SOURCE = "Keizer, Levine 1996"
_RATES = (
    number("ka_on", 1500.0, "1/(uM^4*s)", "rate of opening", _SOURCE),
    number("ka_off", 28.8, "1/s", "rate of closing", _SOURCE),
    number("kb_on", 1500.0, "1/(uM^3*s)", "rate to the second open state", _SOURCE),
    number("kb_off", 385.9, "1/s", "rate back from it", _SOURCE),
    number("kc_on", 1.75, "1/s", "rate to the second closed state", _SOURCE),
    number("kc_off", 0.1, "1/s", "rate back from it", _SOURCE),
)
_FLUX = VolumeFlux(name="receptor", source=ER, target=CYTOSOL, expression="c1*v1*open_ryr*(e - c)")


def _v1(v1: float) -> tuple:
    return (_C1, number("v1", v1, "1/s", "rate of the ryanodine receptors", "chosen", zero=True))


def keizer_levine_channel() -> Receptor:
    """Return the four states of a channel: ``ryr_c1``, ``ryr_o1``, ``ryr_o2``, ``ryr_c2``."""
    return Receptor(
        states=("ryr_c1", "ryr_o1", "ryr_o2", "ryr_c2"),
        transitions={
            ("ryr_c1", "ryr_o1"): "ka_on*c^4",
            ("ryr_o1", "ryr_c1"): "ka_off",
            ("ryr_o1", "ryr_o2"): "kb_on*c^3",
            ("ryr_o2", "ryr_o1"): "kb_off",
            ("ryr_o1", "ryr_c2"): "kc_on",
            ("ryr_c2", "ryr_o1"): "kc_off",
        },
        meanings={
            "ryr_o1": "share of channels in the first open state",
            "ryr_o2": "share of channels in the second open state",
            "ryr_c2": "share of channels in the second closed state",
        },
    )


def keizer_levine_receptor(v1: float = 6.0) -> Mechanism:
    """Return the ryanodine receptor of Keizer and Levine: three of its four states."""
    channel = keizer_levine_channel()
    check_reversible(channel, _RATES)
    return Mechanism(
        name="receptor",
        definitions={**channel.rest(), "open_ryr": "ryr_o1 + ryr_o2"},
        fluxes=(_FLUX,),
        states=channel.relaxing(),
        parameters=(*_v1(v1), *_RATES),
        shares=(channel.states[1:],),
    )


def reduced_keizer_levine_receptor(v1: float = 6.0) -> Mechanism:
    """Return the reduced form: one gate ``w``, the share of channels that are not in the second closed state."""
    return Mechanism(
        name="receptor",
        definitions={
            "ka4": "ka_off/ka_on",
            "opened": "c^4*(1 + c^3*kb_on/kb_off)",
            "ryr_all": "opened + ka4 + c^4*kc_on/kc_off",
            "w_inf": "(opened + ka4)/ryr_all",
            "open_ryr": "w*opened/(opened + ka4)",
        },
        fluxes=(_FLUX,),
        states=(
            State(
                name="w",
                rate="kc_off/w_inf",
                target="w_inf",
                start=1.0,
                meaning="share of channels that are not in the second closed state",
            ),
        ),
        parameters=(*_v1(v1), *_RATES),
        shares=(("w",),),
    )
