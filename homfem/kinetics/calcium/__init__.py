r"""Calcium flux through the membrane of the endoplasmic reticulum (ER): SERCA pump, IP3 receptor, leak.

The net flux from the ER into the cytosol, per area of membrane, and the slow inactivation :math:`h` of the receptor are

.. math::
    f &= \bigl(P_3\,(m_\infty h)^3 + P_l\bigr)(e - c) - V\,\frac{c^2}{k_3^2 + c^2},\qquad
    m_\infty = \frac{p}{p + d_1}\,\frac{c}{c + d_5},\\
    \dot h &= a_2\bigl(Q_2 - (Q_2 + c)\,h\bigr),\qquad Q_2 = d_2\,\frac{p + d_1}{p + d_3}.

Units throughout: concentrations ``c`` (cytosol), ``e`` (ER), ``p`` (IP3) in uM, lengths in um, time in s; so
permeabilities are in um/s and a flux per membrane area in uM um/s (1 uM um/s = 1e-9 mol / (m^2 s)).

From rates per volume to a membrane
-----------------------------------
Models of a well-mixed cell give the flux per volume of cytosol,

.. math:: J = \bigl(v_1(m_\infty h)^3 + v_2\bigr)c_1(e - c) - v_3\frac{c^2}{k_3^2 + c^2},\qquad
    \dot c = J,\quad \dot e = -J/c_1,

with :math:`c_1` the volume of the ER over that of the cytosol. The calcium bidomain equations read
:math:`\gamma_c\dot c = \tilde\lambda f`, :math:`\gamma_e\dot e = -\tilde\lambda f` with the volume fractions
:math:`\gamma`, and :math:`\tilde\lambda = \lambda S` where ``S`` is the membrane area per volume of tissue (1/um) and
:math:`\lambda` the density of the transporters relative to the one that ``f`` stands for. The two are the same when
:math:`c_1 = \gamma_e/\gamma_c` and :math:`\tilde\lambda f = \gamma_c J`, that is, at :math:`\lambda = 1`,

.. math:: P_3 = v_1\gamma_e/S,\qquad P_l = v_2\gamma_e/S,\qquad V = v_3\gamma_c/S .

:func:`membrane_from_rates` does this. Diffusion likewise: :math:`A^* = \gamma_c D_c`, :math:`B^* = \gamma_e D_e`.

Source: De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895 (parameters). Li, Rinzel 1994, doi 10.1006/jtbi.1994.1041
(reduction to c and h). Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, eqs 2.2, 2.26 and the
appendix (flux per membrane area).
"""

from homfem.kinetics.calcium.assembled import (
    boundary_kinetics,
    boundary_law,
    cell_kinetics,
    membrane_kinetics,
    on_membrane,
    published_geometry,
    tissue_kinetics,
    volume_kinetics,
)
from homfem.kinetics.calcium.buffers import Buffer, RapidBuffering, binding_step, rapid_buffering
from homfem.kinetics.calcium.files import FluxOfFile, read_calcium
from homfem.kinetics.calcium.flux import (
    RestingState,
    inactivation,
    li_rinzel,
    membrane_flux,
    open_probability,
    pump_flux,
    resting_state,
)
from homfem.kinetics.calcium.fluxes import Geometry, SurfaceFlux, VolumeFlux, closed_cell, number, pumps_per_area
from homfem.kinetics.calcium.mechanisms import CalciumKinetics, Mechanism, State
from homfem.kinetics.calcium.membrane import MembraneKinetics, exchange_kinetics
from homfem.kinetics.calcium.rates import (
    DE_YOUNG_KEIZER,
    TRIGGER_WAVE,
    LiRinzelMembrane,
    LiRinzelRates,
    membrane_from_rates,
)
from homfem.kinetics.calcium.receptors import Receptor, check_reversible
from homfem.kinetics.calcium.registry import CALCIUM_KINETICS, calcium_kinetics, with_field_of_ip3

__all__ = [
    "CALCIUM_KINETICS",
    "DE_YOUNG_KEIZER",
    "TRIGGER_WAVE",
    "Buffer",
    "CalciumKinetics",
    "FluxOfFile",
    "Geometry",
    "LiRinzelMembrane",
    "LiRinzelRates",
    "Mechanism",
    "MembraneKinetics",
    "RapidBuffering",
    "Receptor",
    "RestingState",
    "State",
    "SurfaceFlux",
    "VolumeFlux",
    "binding_step",
    "boundary_kinetics",
    "boundary_law",
    "calcium_kinetics",
    "cell_kinetics",
    "check_reversible",
    "closed_cell",
    "exchange_kinetics",
    "inactivation",
    "li_rinzel",
    "membrane_flux",
    "membrane_from_rates",
    "membrane_kinetics",
    "number",
    "on_membrane",
    "open_probability",
    "published_geometry",
    "pump_flux",
    "pumps_per_area",
    "rapid_buffering",
    "read_calcium",
    "resting_state",
    "tissue_kinetics",
    "volume_kinetics",
    "with_field_of_ip3",
]
