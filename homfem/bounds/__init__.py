r"""Bounds and estimates of effective coefficients from the phases and their fractions alone, without a mesh.

**Bounds** hold for every geometry of a stated kind: :func:`voigt_reuss_conductivity` and :func:`voigt_reuss_stiffness`
for any, :func:`hashin_shtrikman` and :func:`hashin_shtrikman_moduli` for isotropic mixtures, :func:`fibre_bounds`
for parallel fibres. They return :class:`Bounds`. **Estimates** belong to a model of the geometry and bound nothing:
:func:`maxwell`, :func:`bruggeman`, :func:`mori_tanaka`, :func:`self_consistent` return :class:`Estimate`. **Exact** are
laminates, Hill's mixtures of equal shear modulus, and relations between properties.

Phases and fractions are two lists in the same order, or two mappings from phase names. A coefficient of 0 is an
insulator or a void. Numbers are in one consistent system of units. :func:`table` prints a computed tensor inside the
bounds that hold for it.

>>> hashin_shtrikman({"matrix": 1.0, "sphere": 10.0}, {"matrix": 0.7, "sphere": 0.3}, dimension=3)
Bounds(lower=1.870967741935484, upper=3.0769230769230766)
"""

from homfem.bounds.averages import (
    arithmetic_mean,
    harmonic_mean,
    voigt_reuss_conductivity,
    voigt_reuss_stiffness,
)
from homfem.bounds.comparison import (
    BoundsTable,
    Row,
    table,
)
from homfem.bounds.conductivity import (
    bruggeman,
    hashin_shtrikman,
    maxwell,
)
from homfem.bounds.elasticity import (
    FibreBounds,
    ModuliBounds,
    ModuliEstimate,
    fibre_bounds,
    fibre_relations,
    hashin_shtrikman_moduli,
    hill_equal_shear,
    mori_tanaka,
    self_consistent,
)
from homfem.bounds.laminates import (
    laminate_conductivity,
    laminate_stiffness,
)
from homfem.bounds.phases import (
    Bounds,
    Estimate,
    Fractions,
    PerPhase,
    TensorBounds,
)
from homfem.bounds.relations import (
    biot_coefficient,
    levin_expansion,
)

__all__ = [
    "Bounds",
    "BoundsTable",
    "Estimate",
    "FibreBounds",
    "Fractions",
    "ModuliBounds",
    "ModuliEstimate",
    "PerPhase",
    "Row",
    "TensorBounds",
    "arithmetic_mean",
    "biot_coefficient",
    "bruggeman",
    "fibre_bounds",
    "fibre_relations",
    "harmonic_mean",
    "hashin_shtrikman",
    "hashin_shtrikman_moduli",
    "hill_equal_shear",
    "laminate_conductivity",
    "laminate_stiffness",
    "levin_expansion",
    "maxwell",
    "mori_tanaka",
    "self_consistent",
    "table",
    "voigt_reuss_conductivity",
    "voigt_reuss_stiffness",
]
