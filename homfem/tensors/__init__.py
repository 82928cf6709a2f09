"""The effective tensor: what a cell problem gives and a macroscale model takes. No dolfinx here."""

from homfem.tensors.anisotropy import anisotropy_class, principal
from homfem.tensors.bidomain import BidomainTensors
from homfem.tensors.comparison import TensorComparison
from homfem.tensors.effective import EffectiveTensor
from homfem.tensors.tables import TensorTable, tensor_table

__all__ = [
    "BidomainTensors",
    "EffectiveTensor",
    "TensorComparison",
    "TensorTable",
    "anisotropy_class",
    "principal",
    "tensor_table",
]
