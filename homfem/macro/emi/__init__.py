r"""Heart muscle with its membranes resolved (EMI: extracellular space, membrane, intracellular space).

The potential :math:`u_k` of each space k lives on its own part :math:`\Omega_k` of the tissue; there are the space
between the cells, the cells, and where these are joined the gap junctions:

.. math::
    -\nabla\cdot(\sigma_k\nabla u_k) &= 0 \quad\text{in }\Omega_k,\\
    -\sigma_i\nabla u_i\cdot n_i = \sigma_e\nabla u_e\cdot n_e &= C_m\,\partial_tV + I_{ion}(V, X) - I_s,\quad
    V = u_i - u_e \quad\text{on the membrane},\\
    -\sigma_k\nabla u_k\cdot n_k = \sigma_l\nabla u_l\cdot n_l &= (u_k - u_l)/R \quad\text{on contacts},\\
    \partial_tX &= \Phi(V, X) \quad\text{on the membrane},

and no current passes what is neither. A potential that is two-valued on a facet has two unknowns at its nodes. The
membrane's kinetics are at the nodes of the membrane, split from the potentials: with the stiffness K of all spaces and
all contacts, the mass M of :math:`C_m` on the membrane and the jump :math:`B`, :math:`V=Bu`, a step k solves

.. math:: (B^TMB + k\,K)\,u = B^TM\,V^*,\qquad V \leftarrow Bu

after :math:`V^*` has been moved by the kinetics (implicit Euler), or both at half steps (Crank-Nicolson with Strang
splitting, second order). The matrix is made and its solver set up once; currents of electrodes enter on the right.

Homogenization of periodic cells gives the bidomain of :mod:`homfem.macro.cardiac` as they get small against a front,
with the tensors and the membrane's area of :func:`homfem.homogenize_bidomain`.

Units: mm, ms, mV, mS/mm, uF/mm^2, uA/mm^2 of membrane, kOhm mm^2.

Source
------
Tveito et al. 2017, Front. Phys. 5, 48, doi 10.3389/fphy.2017.00048; Jaeger, Edwards, Giles, Tveito 2021,
doi 10.1371/journal.pcbi.1008808.
"""

from homfem.macro.emi.model import EmiModel
from homfem.macro.emi.probes import CellProbes
from homfem.macro.emi.problem import Contact, EmiMethod, EmiProblem, Held, Injected, Membrane
from homfem.macro.emi.run import EmiResult, solve_emi
from homfem.macro.emi.steady import Steady, solve_steady
from homfem.macro.emi.tile_means import TileMeans
from homfem.macro.emi.tiles import require_tiles, tiled_domain

__all__ = [
    "CellProbes",
    "Contact",
    "EmiMethod",
    "EmiModel",
    "EmiProblem",
    "EmiResult",
    "Held",
    "Injected",
    "Membrane",
    "Steady",
    "TileMeans",
    "require_tiles",
    "solve_emi",
    "solve_steady",
    "tiled_domain",
]
