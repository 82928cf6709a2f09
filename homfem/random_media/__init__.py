"""Random periodic media, each drawn from a seed, and what is measured on them. No DOLFINx, no mesh.

Particles in a periodic box: :func:`random_sequential_addition` (they do not overlap) and :func:`boolean_model` (they
do), of spheres or discs, ellipsoids or ellipses, fibres; thresholded Gaussian fields: :func:`gaussian_medium`; the
aggregated medium of March, Carr and Turner: :func:`aggregated_medium`. Each gives ``labels(shape)``, an array with one
label per voxel and the axes x, y, z, and most a ``level_set()``, a function that is negative in the inclusions.
"""

from homfem.orientation import Directions, Uniform, VonMisesFisher, Watson, sample_directions
from homfem.random_media.gaussian import GaussianMedium, gaussian_medium
from homfem.random_media.packing import boolean_model, random_sequential_addition
from homfem.random_media.particles import ParticleMedium
from homfem.random_media.shapes import Ellipsoid, Fibre, Sphere
from homfem.random_media.statistics import correlation_length, radial_average, specific_surface, two_point_correlation
from homfem.random_media.voxels import VoxelMedium, aggregated_medium

__all__ = [
    "Directions",
    "Ellipsoid",
    "Fibre",
    "GaussianMedium",
    "ParticleMedium",
    "Sphere",
    "Uniform",
    "VonMisesFisher",
    "VoxelMedium",
    "Watson",
    "aggregated_medium",
    "boolean_model",
    "correlation_length",
    "gaussian_medium",
    "radial_average",
    "random_sequential_addition",
    "sample_directions",
    "specific_surface",
    "two_point_correlation",
]
