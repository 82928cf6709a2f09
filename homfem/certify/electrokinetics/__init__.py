"""Double layers: ions and fluid that move through charged pores, their matrix of Onsager and what follows from it."""

from homfem.certify.electrokinetics.physics import (
    Electrokinetics,
    homogenize_electrokinetics,
    solve_electrokinetics,
)

__all__ = ["Electrokinetics", "homogenize_electrokinetics", "solve_electrokinetics"]
