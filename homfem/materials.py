"""What a macroscale model takes: a tensor or a coefficient of the kind and in the unit that it wants, or an error.

Every model reads its tensors with :func:`required_tensor`, whether they were computed, measured or come from a file,
and with :func:`required_coefficient` what stands beside them by name. No dolfinx here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from homfem.brackets import symmetric
from homfem.kinds import DISPERSION, TensorKind, TensorKinds
from homfem.parameters import Array, FileError, InputError, UnitError, check_number, nearest_name
from homfem.quantities import INVERSE_LENGTH, SPEED, Kind, check_unit, conversion_factor
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Asymmetry of a symmetric tensor that a solver or printed digits may have left, relative to its largest entry.
_SKEW = 1e-6


def read_tensor(name: str, file: str | Path, folder: str | Path = ".") -> EffectiveTensor:
    """Return the effective tensor of a JSON file, such as ``homfem effective --json`` writes.

    Parameters
    ----------
    name
        The parameter that names the file, for messages.
    file, folder
        Its path, sought from the folder.

    Raises
    ------
    FileError
        If the file is missing, cut short, or none of an effective tensor, with what is wrong in it.
    """
    try:
        return EffectiveTensor.from_json(Path(folder) / file)
    except FileError as error:
        raise FileError(name, str(file), error.allowed, error.remedy) from error
    except InputError as error:
        remedy = f"In it {str(error).removesuffix('.')}."
        raise FileError(name, str(file), "the JSON of an effective tensor", remedy) from error


def _sink(tensor: EffectiveTensor) -> str:
    """The rate at which the cell of a tensor consumes, per volume of the whole; empty where nothing reacts."""
    found = tensor.coefficients.get("sink") or tensor.coefficients.get("rate")
    if found is None:
        return ""
    of_carriers = "sink" not in tensor.coefficients and tensor.kind == DISPERSION
    return f"{(tensor.storage if of_carriers else 1.0) * float(found.value):.7g} {found.unit}".strip()


def required_tensor(
    name: str,
    source: EffectiveTensor | str | Path,
    kind: TensorKinds,
    *,
    unit: str,
    dimension: int | None = None,
    definite: bool = True,
) -> EffectiveTensor:
    """Return an effective tensor that is of a kind, in a unit, and fits a model; or say by name why it does not.

    Parameters
    ----------
    name
        The parameter, for messages.
    source
        The tensor, or the path of its JSON file.
    kind
        The kind that the model needs, such as :data:`homfem.kinds.CONDUCTIVITY`, or several that serve it.
    unit
        The unit that the model computes in, such as ``"mS/mm"``. A tensor without a unit is taken to be in it.
    dimension
        Number of space dimensions of the model's mesh; None: any.
    definite
        Whether it must be positive definite, as one that stands under a time derivative's equation or is inverted;
        else no principal value may be negative.

    Returns
    -------
    EffectiveTensor
        In ``unit``, per total volume; the value of a symmetric kind without what round-off left of asymmetry.

    Warns
    -----
    If it comes from a reaction, whose sink or rate of decay is no part of it.

    Raises
    ------
    InputError
        If it is of another kind or dimension, not symmetric though its kind is, or not positive definite.
    UnitError
        If its unit does not convert.
    FileError
        If the file is none of an effective tensor.

    Example
    -------
    >>> from homfem.kinds import CONDUCTIVITY
    >>> tissue = EffectiveTensor.measured("cells", 0.17, unit="S/m", physics="conductivity", dimension=2)
    >>> print(required_tensor("intracellular", tissue, CONDUCTIVITY, unit="mS/mm", dimension=2).value)
    [[0.17 0.  ]
     [0.   0.17]]
    """
    tensor = source if isinstance(source, EffectiveTensor) else read_tensor(name, source)
    kinds = (kind,) if isinstance(kind, TensorKind) else tuple(kind)
    if tensor.kind not in kinds:
        shown = f"{tensor.kind.name} (physics {tensor.physics!r})"
        raise InputError(name, shown, f"an effective tensor of {' or '.join(one.name for one in kinds)}")
    kind = tensor.kind
    sink = _sink(tensor)
    if sink and name:  # without a name it is taken on, by one who has it
        log.warning(
            "%s: the reaction of the cell is no part of its tensor: it is one of the model, of the rate %s", name, sink
        )
    if dimension is not None and tensor.space_dimension != dimension:
        size = 3 * dimension - 3 if kind.voigt else dimension
        remedy = "Take the block of the tensor in the plane." if tensor.space_dimension > dimension else ""
        raise InputError(name, tensor.value, f"a {size}x{size} tensor, as the mesh", remedy)
    if kind.symmetric and np.abs(tensor.value - tensor.value.T).max() > _SKEW * np.abs(tensor.value).max():
        raise InputError(name, tensor.value, "a symmetric tensor", "This one is not symmetric.")
    if tensor.unit != unit:
        tensor = _converted(name, tensor, unit) if tensor.unit else replace(tensor, unit=unit)
    smallest, largest = float(tensor.principal_values[-1]), float(np.abs(tensor.principal_values).max())
    if smallest <= 0.0 if definite else smallest < -1e-9 * largest:
        wanted = "positive definite" if definite else "positive semidefinite"
        raise InputError(name, tensor.value, f"a {wanted} tensor", f"Its smallest principal value is {smallest:g}.")
    tensor = tensor.per_total_volume()
    return replace(tensor, value=symmetric(tensor.value)) if kind.symmetric else tensor


def _converted(name: str, tensor: EffectiveTensor, unit: str) -> EffectiveTensor:
    try:
        return tensor.to(unit)
    except UnitError as error:
        raise UnitError(name, tensor.unit, f"a tensor in a unit that converts to {unit}", error.remedy) from error


def required_coefficient(
    name: str, tensor: EffectiveTensor, key: str, quantity: Kind, *, unit: str, basis: str = ""
) -> Array:
    """Return a coefficient that stands beside a tensor by name (:class:`homfem.coefficients.NamedCoefficient`).

    Parameters
    ----------
    name
        The parameter that the tensor came in, for messages.
    tensor
        The tensor.
    key
        The coefficient's name: ``"biot"``, ``"velocity"``, ``"rate"``.
    quantity
        What it must be, such as :data:`homfem.quantities.SPEED`; :data:`homfem.quantities.PURE` for a pure number.
    unit
        The unit that the model computes in. A coefficient without a unit is taken to be in it.
    basis
        What its entries must mean, see :class:`homfem.coefficients.NamedCoefficient`; empty: anything.

    Returns
    -------
    ndarray
        Its value in ``unit``; shape () for a number.

    Raises
    ------
    InputError
        If there is none of that name, or it has another basis.
    UnitError
        If its unit does not convert.
    """
    known = list(tensor.coefficients)
    if key not in tensor.coefficients:
        have = f"It has {', '.join(map(repr, known))}." if known else "It has none."
        remedy = f"{have} {nearest_name(key, known)}".strip()
        raise InputError(name, tensor.physics, f"an effective tensor with the coefficient {key!r}", remedy)
    coefficient, at = tensor.coefficients[key], f"{name}.coefficients.{key}"
    if basis and coefficient.basis != basis:
        raise InputError(f"{at}.basis", coefficient.basis, repr(basis))
    given = coefficient.unit or unit
    try:
        factor = conversion_factor(check_unit(at, given or "1", quantity), unit or "1")
    except UnitError as error:
        raise UnitError(at, given, f"{quantity.name} in a unit that converts to {unit}", error.remedy) from error
    return np.asarray(factor * coefficient.value)


def carrying_velocity(name: str, tensor: EffectiveTensor, *, unit: str) -> list[float]:
    r"""Return the flux of the fluid per area of the medium that a dispersion tensor belongs to, shape (d,).

    V of :math:`\partial_tc+V\cdot\nabla c=\nabla\cdot(D^*\nabla c)` times the capacity of the medium (its ``storage``):
    where nothing is held back, the porosity times the mean velocity in the fluid.

    Parameters
    ----------
    name
        The parameter that the tensor came in, for messages.
    tensor
        With the coefficient ``velocity``.
    unit
        The unit that the model computes in, such as ``"um/s"``.

    Raises
    ------
    InputError
        Of a tensor without a velocity.
    UnitError
        If its unit does not convert.

    Example
    -------
    >>> from homfem.coefficients import NamedCoefficient
    >>> velocity = NamedCoefficient(value=np.array([2.0, 0.0]), unit="mm/s", basis="vector")
    >>> measured = EffectiveTensor.measured(
    ...     "pore", 1.0, unit="mm^2/s", volume_fraction=0.4, physics="dispersion", dimension=2
    ... )
    >>> carrying_velocity("tensor", replace(measured, coefficients={"velocity": velocity}), unit="um/s")
    [800.0, 0.0]
    """
    found = required_coefficient(name, tensor, "velocity", SPEED, unit=unit, basis="vector")
    return [float(entry) for entry in tensor.storage * found]


def interface_area(name: str, tensors: Iterable[EffectiveTensor], unit: str) -> float:
    """Return the area of the interfaces per volume that the tensors of one cell share, such as beta in 1/mm.

    Parameters
    ----------
    name
        The parameter that could give it instead, for messages.
    tensors
        Those that know it must agree to a hundredth; a cell without a unit of length is taken to be in ``unit``.
    unit
        A reciprocal length.

    Raises
    ------
    InputError
        If no tensor knows it, or they differ.
    """
    unit = check_unit("unit", unit, INVERSE_LENGTH)
    known = list(tensors)
    found = [
        tensor.interface_area * (conversion_factor(f"1/({tensor.length_unit})", unit) if tensor.length_unit else 1.0)
        for tensor in known
        if tensor.interface_area
    ]
    if not found or not np.allclose(found, found[0], rtol=1e-2):
        allowed = f"one positive area that {'both' if len(known) == 2 else 'all'} tensors share"
        raise InputError(name, found, allowed, f"Give {name} in {unit}.")
    return check_number(name, found[0], above=0.0)
