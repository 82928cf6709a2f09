"""Elasticity: both sides of the bounds, the gap between them, and what straight facets change."""

from homfem.certify.elasticity.gap import elastic_gaps
from homfem.certify.elasticity.geometry import elastic_geometric_error
from homfem.certify.elasticity.hill import hill_mandel
from homfem.certify.elasticity.physics import (
    Elasticity,
    ElasticityOnMesh,
    homogenize_elasticity,
    solid_part,
    solve_elasticity,
    transmitted,
)

__all__ = [
    "Elasticity",
    "ElasticityOnMesh",
    "elastic_gaps",
    "elastic_geometric_error",
    "hill_mandel",
    "homogenize_elasticity",
    "solid_part",
    "solve_elasticity",
    "transmitted",
]
