"""The effective tensor: what a cell problem gives and a macroscale model takes. No dolfinx here."""

from homfem.tensors.anisotropy import anisotropy_class, principal
from homfem.tensors.effective import EffectiveTensor

__all__ = ["EffectiveTensor", "anisotropy_class", "principal"]
