r"""The calcium bidomain equations: calcium in the cytosol and in the endoplasmic reticulum (ER) of a cell or tissue.

.. math::
    \gamma_c\,\partial_t c &= \nabla\cdot(A^*\nabla c) + \tilde\lambda f(c, e, X),\\
    \gamma_e\,\partial_t e &= \nabla\cdot(B^*\nabla e) - \tilde\lambda f(c, e, X),\\
    \partial_t X &= \Phi(c, e, X),\qquad \tilde\lambda = \lambda S,

without flux through the boundary. ``A*``, ``B*`` are the effective tensors of the two phases (averaged over the whole
cell), :math:`\gamma_c,\gamma_e` their volume fractions, S the membrane area per volume, :math:`\lambda` the relative
density of the transporters and f the flux from the ER into the cytosol per membrane area (:mod:`homfem.kinetics`).

Units: lengths in um, times in s, concentrations in uM, tensors in um^2/s, S in 1/um, f in uM um/s.

Buffers bind calcium in either phase, each a field of what it has bound (:mod:`homfem.macro.calcium.buffers`).

Discretisation
--------------
Continuous P1 elements with consistent mass; exchange and X at the nodes; operator splitting. Diffusion is implicit
(backward Euler with Godunov splitting, TR-BDF2 with Strang), the reaction explicit (Euler, midpoint) with X advanced
exponentially. **One** flux vector g is added as :math:`g/\gamma_c` to c and taken as :math:`g/\gamma_e` from e, and a
diffusion step keeps the integral of its field (:class:`homfem.macro.diffusion_step.DiffusionStep`); so
:math:`\int\gamma_c c + \gamma_e e` is constant to round-off, whatever the tolerance of the linear solver.
Or nothing is split: one Newton solve for all of it (:mod:`homfem.macro.calcium.implicit`), as conservative.

Source
------
Goel, Sneyd, Friedman 2006, eqs 2.26-2.28, 5.5, 5.6, Multiscale Model. Simul. 5(4), 1045.
"""

from homfem.kinetics.currents import PER_PICOAMPERE
from homfem.macro.calcium.buffers import TissueBuffer
from homfem.macro.calcium.fields import Exchange, Field
from homfem.macro.calcium.loads import BoundaryFlux, Source
from homfem.macro.calcium.messenger import Messenger
from homfem.macro.calcium.model import CalciumModel, Snapshot
from homfem.macro.calcium.problem import CalciumProblem, FieldInput, free_cytosol
from homfem.macro.calcium.run import CalciumResult, run_calcium
from homfem.macro.march import Checkpointer
from homfem.macro.observers import front_speed

__all__ = [
    "PER_PICOAMPERE",
    "BoundaryFlux",
    "CalciumModel",
    "CalciumProblem",
    "CalciumResult",
    "Checkpointer",
    "Exchange",
    "Field",
    "FieldInput",
    "Messenger",
    "Snapshot",
    "Source",
    "TissueBuffer",
    "free_cytosol",
    "front_speed",
    "run_calcium",
]
