r"""The electrical activity of the heart: monodomain, bidomain, and bidomain with a bath around the tissue.

The bidomain has at each point of the tissue an intracellular and an extracellular potential, :math:`\varphi_i` and
:math:`\varphi_e`, with the membrane potential :math:`V = \varphi_i - \varphi_e`:

.. math::
    \chi\,(C_m\,\partial_t V + I_{ion}(V, X)) &= \nabla\cdot(\sigma_i\nabla(V + \varphi_e)) + I_m + s_i,\\
    0 &= \nabla\cdot(\sigma_i\nabla V) + \nabla\cdot((\sigma_i+\sigma_e)\nabla\varphi_e) + s_i + s_e,\\
    \partial_t X &= \Phi(V, X),

with effective conductivities averaged over the whole tissue, the area of the membrane per volume :math:`\chi`, its
capacitance per area :math:`C_m`, a current through the membrane :math:`I_m` (a stimulus), and currents from outside
into the two spaces, :math:`s_i` and :math:`s_e`. No intracellular current passes the boundary of the tissue; the
extracellular current passes it at electrodes, or, where there is one, into the bath, where
:math:`0 = \nabla\cdot(\sigma_b\nabla\varphi_e) + s_e`. The monodomain is

.. math:: \chi\,(C_m\,\partial_t V + I_{ion}(V, X)) = \nabla\cdot(\sigma\nabla V) + I_m + s_i,\qquad
    \sigma = (\sigma_i^{-1}+\sigma_e^{-1})^{-1},

to which the bidomain reduces where :math:`\sigma_e` is a multiple of :math:`\sigma_i`.

Units: mm, ms, mV, conductivities in mS/mm (= S/m), :math:`\chi` in 1/mm, :math:`C_m` in uF/mm^2, currents per volume in
uA/mm^3, through electrodes in uA/mm^2. No factor stands between them.

Discretisation
--------------
Continuous elements of degree 1 or 2; the membrane at the nodes, split from diffusion. A step in V is solved for its
increment, :math:`(M + \theta\Delta t K_i)\,\delta V = -\Delta t K_i(V + \varphi_e)`, so that
:math:`\int\chi C_m V` changes by the membrane's currents alone, to round-off; matrices and preconditioners are made
once, right-hand sides are products with these matrices.

Source
------
Sundnes et al. 2006, Computing the Electrical Activity in the Heart, Springer. Pathmanathan, Gray 2014, Int. J. Numer.
Meth. Biomed. Engng. 30, 525, doi 10.1002/cnm.2619.
"""

from homfem.macro.cardiac.electrodes import cardiac_ecg, cardiac_recovery
from homfem.macro.cardiac.model import CardiacModel
from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.cardiac.run import CardiacResult, solve_cardiac
from homfem.macro.cardiac.tuning import Cable, TunedConductivity, cable_velocity, tune_conductivities

__all__ = [
    "Cable",
    "CardiacMethod",
    "CardiacModel",
    "CardiacProblem",
    "CardiacResult",
    "TunedConductivity",
    "cable_velocity",
    "cardiac_ecg",
    "cardiac_recovery",
    "solve_cardiac",
    "tune_conductivities",
]
