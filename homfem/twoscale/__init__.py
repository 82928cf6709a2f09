r"""The proof of the limit: resolved computations beside their homogenized solution.

A box is made of :math:`(1/\varepsilon)^d` periods of a cell, each with the very mesh of the cell problem, and a problem
is solved on it with everything resolved. Beside it stand the solution of the homogenized problem, with the effective
tensor of the same cell and no number fitted, and its reconstruction with the correctors. What they differ by is
measured in several norms for smaller and smaller :math:`\varepsilon`: :func:`two_scale_study` for steady diffusion and
linear elasticity, :func:`calcium_two_scale_study` for calcium in the resolved endoplasmic reticulum and around it,
beside the calcium bidomain.
"""

from homfem.twoscale.calcium import (
    CalciumFields,
    CalciumLevel,
    CalciumStudy,
    calcium_two_scale_study,
)
from homfem.twoscale.calcium_pair import CalciumPair, CalciumPairMethod
from homfem.twoscale.problem import SteadyProblem
from homfem.twoscale.study import ERRORS, Level, TwoScaleFields, TwoScaleMethod, TwoScaleStudy, two_scale_study

__all__ = [
    "ERRORS",
    "CalciumFields",
    "CalciumLevel",
    "CalciumPair",
    "CalciumPairMethod",
    "CalciumStudy",
    "Level",
    "SteadyProblem",
    "TwoScaleFields",
    "TwoScaleMethod",
    "TwoScaleStudy",
    "calcium_two_scale_study",
    "two_scale_study",
]
