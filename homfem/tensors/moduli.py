"""Engineering constants of effective stiffnesses. No dolfinx here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homfem.brackets import symmetric
from homfem.parameters import InputError
from homfem.stiffness import EngineeringConstants, engineering_constants

if TYPE_CHECKING:
    from homfem.tensors.properties import TensorProperties


def constants(tensor: TensorProperties) -> EngineeringConstants | None:
    """Return the constants about the coordinate axes; None where the solid transmits no stress in some direction.

    Raises
    ------
    InputError
        If the tensor is no stiffness.
    """
    if not tensor.kind.voigt:
        raise InputError("kind", tensor.kind.name, "'stiffness' to have engineering constants")
    values = tensor.principal_values
    if values[-1] <= 1e-9 * values[0]:
        return None
    return engineering_constants(symmetric(tensor.value), plane=tensor.plane)


def existing(tensor: TensorProperties) -> EngineeringConstants:
    """Return the constants, or raise :class:`InputError` where they do not exist."""
    found = constants(tensor)
    if found is None:
        raise InputError("value", tensor.value, "a stiffness that transmits stress in every direction")
    return found
