"""What neutrons meet in a phase: diffusion coefficient and macroscopic cross-sections of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CrossSections:
    r"""The data of one phase; numbers for one group, or one for each group.

    Parameters
    ----------
    diffusion : float or sequence of float
        :math:`D_g` > 0, a length.
    absorption : float or sequence of float
        :math:`\Sigma_{a,g}` >= 0, one over a length.
    production : float or sequence of float, optional
        :math:`\nu\Sigma_{f,g}` >= 0; zero by default.
    scattering : array, shape (groups, groups), optional
        :math:`\Sigma_{g\to h}` >= 0 from the group of the row to that of the column; the diagonal does not matter.

    Raises
    ------
    InputError
        For numbers out of range, and for shapes that do not go together.

    Examples
    --------
    >>> CrossSections(diffusion=0.05, absorption=1.0, production=1.5).groups
    1
    """

    diffusion: npt.ArrayLike
    absorption: npt.ArrayLike
    production: npt.ArrayLike = 0.0
    scattering: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        groups = np.atleast_1d(np.asarray(self.diffusion, dtype=object)).size
        for name in ("diffusion", "absorption", "production"):
            given = getattr(self, name)
            array = _numbers(name, given, (groups,))
            if name == "diffusion" and array.min() <= 0.0:
                raise InputError(name, given, "above zero in every group")
            object.__setattr__(self, name, array)
        given = np.zeros((groups, groups)) if self.scattering is None else self.scattering
        scattering = _numbers("scattering", given, (groups, groups))
        np.fill_diagonal(scattering, 0.0)
        object.__setattr__(self, "scattering", scattering)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(np.size(self.diffusion))

    @property
    def removal(self) -> Array:
        """Absorption and scattering into other groups, of each group."""
        return np.asarray(self.absorption) + np.asarray(self.scattering).sum(axis=1)


def _numbers(name: str, given: npt.ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """Numbers >= 0 of a shape; one number stands for all of an absent production."""
    allowed = f"finite numbers >= 0 of shape {shape}, one for each group" if shape != (1,) else "a finite number >= 0"
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, given, allowed) from error
    if array.ndim == 0 and (shape == (1,) or (name == "production" and array == 0.0)):
        array = np.full(shape, float(array))
    if array.ndim == 0 and shape == (1, 1):
        array = array.reshape(1, 1)
    if array.shape != shape or not np.all(np.isfinite(array)) or array.min() < 0.0:
        raise InputError(name, given, allowed)
    return array


def check_materials(
    phase_names: Sequence[str], materials: Mapping[str, CrossSections], spectrum: npt.ArrayLike | None
) -> Array:
    """Return the fission spectrum, one number for each group; refuse what does not go together.

    Raises
    ------
    InputError
        For a phase without data or unknown, for different numbers of groups, nothing that multiplies or absorbs, a
        spectrum that does not add up to one.
    """
    for name in materials:
        if name not in phase_names:
            raise InputError("materials", name, "one of the phases " + ", ".join(map(repr, phase_names)))
    missing = [name for name in phase_names if name not in materials]
    if missing:
        raise InputError(f"materials[{missing[0]!r}]", None, "given for every phase: neutrons are everywhere")
    groups = {material.groups for material in materials.values()}
    if len(groups) > 1:
        raise InputError("materials", sorted(groups), "of one number of groups")
    count = groups.pop()
    if not any(np.any(np.asarray(one.production) > 0.0) for one in materials.values()):
        raise InputError("production", 0.0, "above zero in some group of some phase: nothing multiplies")
    if not any(np.any(np.asarray(one.absorption) > 0.0) for one in materials.values()):
        raise InputError("absorption", 0.0, "above zero in some group of some phase", "Else the factor is infinite.")
    if spectrum is None:
        spectrum = np.eye(count)[0]
    chi = np.asarray(spectrum, dtype=np.float64).reshape(-1)
    if chi.shape != (count,) or not np.all(np.isfinite(chi)) or chi.min() < 0.0 or abs(chi.sum() - 1.0) > 1e-9:
        raise InputError("spectrum", spectrum, f"{count} numbers >= 0, one for each group, that add up to 1")
    return chi
