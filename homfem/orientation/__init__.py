r"""Orientation distributions of fibres, orientation tensors, and what a mixture of fibres conducts. No DOLFINx.

A distribution (:class:`Uniform`, :class:`VonMisesFisher`, :class:`Watson`, :class:`Bingham`, :class:`Directions`,
:class:`MeasuredDensity`, :class:`SphericalHarmonicDensity`) has a density, draws, and the moments
:math:`A_{ij}=\langle n_in_j\rangle` and :math:`A_{ijkl}`; :class:`OrientationTensors` are such moments alone, with
closures where the fourth is not known. :func:`average` and :func:`inverse_average` (and the same of a stiffness) turn
them into the bounds of an effective tensor, :func:`mixture_tensor` into an ``EffectiveTensor``.
:func:`tensor_symmetry` and :func:`symmetry_class` find the symmetry class and axes of a tensor.
:mod:`homfem.orientation.cardiac` has the angles of heart muscle and its conductivity tensors.

>>> fibres = Watson(axis=(0, 0, 1), concentration=5.0)
>>> average(fibres, longitudinal=0.3, transverse=0.1).diagonal().round(4)
array([0.1236, 0.1236, 0.2529])
"""

from homfem.orientation.bingham import Bingham, fit_bingham
from homfem.orientation.cardiac import (
    FibreAngles,
    conductivity_tensors,
    diffusion_frames,
    fibre_angles,
    fibre_frames,
    local_frames,
)
from homfem.orientation.closures import (
    bingham_closure,
    hybrid_closure,
    linear_closure,
    orthotropic_closure,
    quadratic_closure,
)
from homfem.orientation.distributions import Directions, Distribution, HasMoments, Uniform, VonMisesFisher, Watson
from homfem.orientation.draws import Orientation, sample_directions
from homfem.orientation.measured import MeasuredDensity, SphericalHarmonicDensity, density_on_grid
from homfem.orientation.mixture import (
    average,
    average_stiffness,
    inverse_average,
    inverse_average_stiffness,
    mixture_tensor,
)
from homfem.orientation.symmetry import StiffnessSymmetry, TensorSymmetry, symmetry_class, tensor_symmetry
from homfem.orientation.tensors import OrientationTensors, fractional_anisotropy, mean_diffusivity, scalar_order

__all__ = [
    "Bingham",
    "Directions",
    "Distribution",
    "FibreAngles",
    "HasMoments",
    "MeasuredDensity",
    "Orientation",
    "OrientationTensors",
    "SphericalHarmonicDensity",
    "StiffnessSymmetry",
    "TensorSymmetry",
    "Uniform",
    "VonMisesFisher",
    "Watson",
    "average",
    "average_stiffness",
    "bingham_closure",
    "conductivity_tensors",
    "density_on_grid",
    "diffusion_frames",
    "fibre_angles",
    "fibre_frames",
    "fit_bingham",
    "fractional_anisotropy",
    "hybrid_closure",
    "inverse_average",
    "inverse_average_stiffness",
    "linear_closure",
    "local_frames",
    "mean_diffusivity",
    "mixture_tensor",
    "orthotropic_closure",
    "quadratic_closure",
    "sample_directions",
    "scalar_order",
    "symmetry_class",
    "tensor_symmetry",
]
