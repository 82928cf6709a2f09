r"""Species that diffuse, flow with a fluid, and react in a tissue.

.. math::
    \phi_i\,\partial_t u_i + \nabla\cdot(v_i u_i) = \nabla\cdot(D_i\nabla u_i) + R_i(u) + s_i

with effective tensors :math:`D_i` averaged over the whole tissue, volume fractions :math:`\phi_i`, velocities
:math:`v_i` (flux of the fluid per area of tissue), reactions R and sources s per volume of tissue. At boundaries:
values, fluxes, transfer to the outside, outflow (:mod:`homfem.macro.conditions`); nothing passes where nothing is said.

Units: lengths in the domain's unit, times in the problem's, u in any.

Discretisation
--------------
Continuous elements of degree 1 or 2 on simplices; reaction at the nodes, split from transport, or together with it
(``splitting="implicit"``). Of each species :math:`\int\phi u` changes by what reaction, sources and boundaries bring,
to round-off (:mod:`homfem.macro.linear`).
"""

from homfem.macro.reaction_diffusion.model import ReactionDiffusionModel
from homfem.macro.reaction_diffusion.problem import Method, ReactionDiffusion, Species
from homfem.macro.reaction_diffusion.run import ReactionDiffusionResult, run_reaction_diffusion, solve_at_rest

__all__ = [
    "Method",
    "ReactionDiffusion",
    "ReactionDiffusionModel",
    "ReactionDiffusionResult",
    "Species",
    "run_reaction_diffusion",
    "solve_at_rest",
]
