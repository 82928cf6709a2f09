"""Published numbers, each once, with its source: what ours are held against. Conductivities and sides of cells are 1.

Where a printed number has fewer digits than the method behind it gives, its digits here come from computations with
that method that are independent of homfem; the source says so.
"""

from __future__ import annotations

import math
from typing import Any

GOEL_PRINTED = "Goel, Sneyd and Friedman 2006, Multiscale Modeling and Simulation 5, 1045, as printed"
GOEL_CONVERGED = "the same cell, converged to 1e-7 by two high-order methods that are independent of homfem"
GOEL_FITTED = f"{GOEL_PRINTED}; the network is only drawn there, and ours is fitted to these numbers"
MARCH = "March, Carr and Turner 2021, Applied Mathematical Modelling 92, 23, table 1, finite volumes, as printed"
BLOCKS_CONVERGED = "the same block media, converged to 1e-8 independently of homfem; case 3 is a laminate"
PERRINS = (
    "Perrins, McKenzie and McPhedran 1979, Proceedings of the Royal Society A 369, 207; digits by their multipoles, "
    "computed independently of homfem"
)
SANGANI_SPHERES = (
    "Sangani and Acrivos 1983, Proceedings of the Royal Society A 386, 263; digits computed independently of homfem"
)
ZICK = "Zick and Homsy 1982, Journal of Fluid Mechanics 115, 13, doi 10.1017/S0022112082000627"
SANGANI_FLOW = (
    "Sangani and Acrivos 1982, International Journal of Multiphase Flow 8, 193, doi 10.1016/0301-9322(82)90029-5"
)
FIBRES_CONVERGED = "square array of fibres, converged to 1e-8 independently of homfem"

DYKHNE = (
    "Keller 1964, Journal of Mathematical Physics 5, 548; Dykhne 1971, Soviet Physics JETP 32, 63; Mendelson 1975, "
    "Journal of Applied Physics 46, 4740: exact for two phases in the plane that change places with each other"
)

#: Edge 0.1 of the three pipes: factor of the diffusivity as printed, and converged.
GOEL = {"er": (0.01047, 0.0104499413), "cytosol": (0.95, 0.94938977)}
#: Edge 0.1: D in um^2/ms and D* of the reticulum; area 3 x 0.4 x 0.9 of the appendix; D of figure 8 in um^2/s.
GOEL_DIFFUSIVITY, GOEL_HOMOGENIZED, GOEL_AREA, GOEL_FREE = 0.25, 2.6175e-3, 1.08, 250.0
#: The cell of their second comparison: edge, volume fraction, interface area, factor in the reticulum.
GOEL_SECOND = {"edge": 0.10092, "fraction": 0.0285, "area": 1.09, "er": 1.07e-2}
#: The network of figure 9: volume fraction, interface area ("close to"), factors along x, y and z.
GOEL_THIRD: dict[str, Any] = {"fraction": 0.0285, "area": 1.2, "er": (6.7e-3, 6.7e-3, 1.04e-2)}

#: Cases of table 1: diagonal entries, light blocks 1, dark ones 0.1.
BLOCKS = {"1": (0.647576126, 0.647576126), "2": (0.69351602, 0.56586684), "3": (0.775, 4.0 / 13.0)}

#: Across the fibres of an array: (lattice, fraction) -> conductivity of the fibres -> that of the array.
CYLINDERS = {
    ("square", 0.1): {0.0: 0.8181768, 10.0: 1.1782218, 50.0: 1.2125880, math.inf: 1.2222298},
    ("square", 0.5): {0.0: 0.3246545, 10.0: 2.4154674, 50.0: 2.9145940, math.inf: 3.0801978},
    ("hexagonal", 0.3): {0.0: 0.5384420, 10.0: 1.6506341, 50.0: 1.8099751, math.inf: 1.8572102},
}
#: Spheres in a simple cubic array: fraction -> conductivity of the spheres -> that of the array.
SPHERES = {
    0.1: {0.0: 0.857112, 10.0: 1.243339, math.inf: 1.333559},
    0.3: {0.0: 0.60566, 10.0: 1.88774, math.inf: 2.33288},
}

#: Drag of a sphere in a simple cubic array over Stokes's, F/(6 pi mu a U), by volume fraction; the last ones touch.
DRAG_OF_SPHERES = {0.027: 2.008, 0.064: 2.810, 0.216: 7.442, 0.343: 15.4, math.pi / 6.0: 42.1}
#: Drag on a cylinder across a square array per length, F/(mu U), by volume fraction.
DRAG_OF_CYLINDERS = {0.05: 15.56, 0.2: 51.53, 0.4: 217.89, 0.6: 1763.0, 0.75: 126300.0}

#: Stiffness of a square array of fibres along z: fraction 0.3, moduli 1 (matrix) and 10, Poisson's ratios 0.3.
FIBRES = {
    "C11": 2.07500597,
    "C12": 0.79325060,
    "C13": 0.86047697,
    "C33": 4.21628618,
    "C44": 0.63539847,
    "C66": 0.55703320,
}

#: Conductivities of two phases in the plane -> that of a medium in which they are alike but for their names.
INTERCHANGEABLE = {(1.0, 10.0): math.sqrt(10.0), (1.0, 100.0): 10.0}


def permeability_of_spheres(fraction: float, drag: float) -> float:
    """Return K/L^2 = 1 / (6 pi (a/L) drag) of a simple cubic array, a/L = (3 f / 4 pi)^(1/3)."""
    return 1.0 / (6.0 * math.pi * (3.0 * fraction / (4.0 * math.pi)) ** (1.0 / 3.0) * drag)


PATHMANATHAN_SOURCE = "Pathmanathan and Gray 2014, Int. J. Numer. Meth. Biomed. Engng. 30, 525, doi 10.1002/cnm.2619"
#: Errors of V and of the extracellular potential, L-infinity in time and L2 in the plane, at h = .1, .05, .025, .0125
#: and dt = .1 (h/.1)^2.
PATHMANATHAN = {
    "monodomain": {"V": (0.0973, 0.0270, 0.00695, 0.00175)},
    "bidomain": {"V": (0.0676, 0.0178, 0.00450, 0.00113), "phi_e": (0.0477, 0.0125, 0.00317, 0.000795)},
    "bath": {"V": (0.0440, 0.0113, 0.00286, 0.000717), "phi_e": (0.0599, 0.0153, 0.00386, 0.000968)},
}

NIEDERER = (
    "Niederer et al. 2011, Phil. Trans. R. Soc. A 369, 4331, doi 10.1098/rsta.2011.0139: mean of eleven codes; "
    "allowed is twice their standard deviation"
)
#: Times of activation (ms) by mesh size (mm), mean and standard deviation of the codes at dt = 0.01 ms: at the corners
#: across the width and along the length, the far corner and the centre.
NIEDERER_TIMES = {
    0.5: {"P3": (105.7, 33.0), "P5": (47.7, 8.3), "P8": (117.9, 36.0), "P9": (55.2, 17.0)},
    0.2: {"P3": (38.6, 5.0), "P5": (34.4, 1.5), "P8": (53.8, 8.2), "P9": (24.6, 3.8)},
    0.1: {"P3": (29.8, 1.7), "P5": (32.2, 0.6), "P8": (44.9, 3.2), "P9": (20.5, 1.3)},
}
#: Velocity along a fibre of this tissue, mm/ms.
FIBRE_VELOCITY = 0.6134
FIBRE_VELOCITY_SOURCE = "converged in one dimension on meshes down to 0.0125 mm, independently of homfem"

TWO_SCALE_THEORY = (
    "rates of theory: Jikov, Kozlov and Oleinik 1994, Homogenization of Differential Operators, section 1.4; Griso "
    "2004, Asymptotic Analysis 40, 269; reached from above as eps falls"
)
TWO_SCALE_EXACT = "layers in closed form, integrated independently of the finite elements; in parts of the limit"
#: Rates in eps and what is allowed: the root of eps is reached late, where the part of order eps has gone. Calcium in a
#: box whose sides are mirror planes of the cell has no layer.
TWO_SCALE_RATES = {"l2": (1.0, 0.05), "h1": (0.5, 0.25), "h1 inside": (1.0, 0.03), "mirrors": (1.0, 0.12)}
#: Layers of 0.3 and 0.7 of the period, 1 and 5, -(a u')' = 1, u = 0 at both ends: errors by 1/eps.
TWO_SCALE_LAMINATE = {
    4: {"l2": 0.1693089972, "h1": 0.1777309577, "energy": 0.2047692961},
    8: {"l2": 0.0865235658, "h1": 0.0900336102, "energy": 0.1029656988},
}
