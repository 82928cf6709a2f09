r"""Stiffness of linear elastic solids: notation, checks, moduli, rotation, symmetry. No dolfinx here.

A stiffness is kept as its **Voigt matrix** :math:`\sigma_I = C_{IJ}\,\varepsilon_J` with engineering shear
(:math:`\varepsilon_4 = 2\varepsilon_{yz}`), in the index order xx, yy, zz, yz, xz, xy; in 2D it is the stiffness in
*plane strain*, or where that is asked for in *plane stress*, order xx, yy, xy. The **Mandel matrix** multiplies the
shear rows and columns by :math:`\sqrt2`; it is the matrix of the linear map in an orthonormal basis, so that its
eigenvalues, inverse and Frobenius norm mean something. The Loewner order is the same in both. Moduli are numbers in one
consistent unit of stress.

>>> steel = isotropic(young=210.0, poisson=0.3)
>>> print(symmetry(steel), engineering_constants(steel).young)
isotropic [210. 210. 210.]
"""

from homfem.stiffness.anisotropy import (
    CLASSES,
    EngineeringConstants,
    Symmetry,
    distance,
    engineering_constants,
    isotropic_moduli,
    project,
    symmetry,
    universal_anisotropy,
    zener_anisotropy,
)
from homfem.stiffness.notation import (
    INDEX_NAMES,
    PAIRS,
    PLANES,
    basis,
    check_plane,
    dimension_of,
    mandel_rotation,
    mandel_to_voigt,
    plane_strain,
    plane_stress,
    rotate,
    tensor_to_voigt,
    voigt_to_mandel,
    voigt_to_tensor,
)
from homfem.stiffness.solids import (
    check_dimension,
    check_stiffness,
    from_moduli,
    isotropic,
    isotropic_field,
    moduli,
    orthotropic,
    stiffness,
    transversely_isotropic,
)

__all__ = [
    "CLASSES",
    "INDEX_NAMES",
    "PAIRS",
    "PLANES",
    "EngineeringConstants",
    "Symmetry",
    "basis",
    "check_dimension",
    "check_plane",
    "check_stiffness",
    "dimension_of",
    "distance",
    "engineering_constants",
    "from_moduli",
    "isotropic",
    "isotropic_field",
    "isotropic_moduli",
    "mandel_rotation",
    "mandel_to_voigt",
    "moduli",
    "orthotropic",
    "plane_strain",
    "plane_stress",
    "project",
    "rotate",
    "stiffness",
    "symmetry",
    "tensor_to_voigt",
    "transversely_isotropic",
    "universal_anisotropy",
    "voigt_to_mandel",
    "voigt_to_tensor",
    "zener_anisotropy",
]
