r"""Tables of cells: the effective tensors of a family of cells against the volume fraction of a phase. No dolfinx here.

**Between the points** of a table values are interpolated, monotone (PCHIP), and say so. They keep guaranteed bounds
where the family is *nested*: with a larger parameter one phase G only gains ground. With the same coefficients
:math:`D_G` grows at every point and the coefficient of the other phase falls, from zero or to zero, and

.. math:: \xi\cdot D^*\xi=\min_v\frac1{|Y|}\int(\xi+\nabla v)\cdot D(\xi+\nabla v)

grows with D. So between two points a and b, :math:`L(a)\le D_G^*\le U(b)` and :math:`L(b)\le D_\text{other}^*\le U(a)`
in the Loewner order, whatever the cell between them is. Square pipes are nested in their edge. (Balls in their radius,
too; but the bounds of curved phases are those of meshes with straight facets.) The bounds are as far apart as those of
the two points: more points make them closer.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from homfem import brackets
from homfem.disk import write_text
from homfem.parameters import Array, FileError, InputError, check_choice, check_number
from homfem.tensors.effective import EffectiveTensor

_KIND = "homfem table of cells"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorFamily:
    """The tensors of each phase of a family of cells at some points.

    Parameters
    ----------
    parameter : str
        What varies, such as ``"edge"``.
    points : sequence of float
        Its values, rising.
    tensors : mapping of str to sequence of EffectiveTensor
        For each phase one for each point; of that phase alone.
    grows : str or None
        The phase that only gains ground with the parameter; None: the cells are not nested, and what is between the
        points has no bounds.
    made_from : str
        What tells this table from others.

    Raises
    ------
    InputError
        If a phase has not a tensor for each point, its volume fraction is not strictly monotone, or the bounds of two
        points contradict what ``grows`` says.
    """

    parameter: str
    points: tuple[float, ...]
    tensors: Mapping[str, tuple[EffectiveTensor, ...]]
    grows: str | None = None
    made_from: str = ""

    def __post_init__(self) -> None:
        points = tuple(check_number("points", point) for point in self.points)
        if len(points) < 2 or any(b <= a for a, b in itertools.pairwise(points)):
            raise InputError("points", list(points), "at least two numbers that rise")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "tensors", {name: tuple(row) for name, row in self.tensors.items()})
        for phase, row in self.tensors.items():
            if len(row) != len(points):
                raise InputError(f"tensors.{phase}", len(row), f"one tensor for each of the {len(points)} points")
            steps = np.diff(self.fractions(phase))
            if not (np.all(steps > 0.0) or np.all(steps < 0.0)):
                raise InputError(
                    f"tensors.{phase}", self.fractions(phase), "tensors whose volume fractions rise or fall"
                )
        if self.grows is not None:
            check_choice("grows", self.grows, list(self.tensors))
            self._check_nested()

    def _check_nested(self) -> None:
        for phase, row in self.tensors.items():
            upwards = phase == self.grows
            fractions = self.fractions(phase)
            wrong = (fractions[1] > fractions[0]) != upwards
            for one, other in itertools.pairwise(row):
                small, large = (one, other) if upwards else (other, one)
                if small.lower is not None and large.upper is not None:
                    wrong = wrong or brackets.violation(small.lower, large.upper) > 1e-12
            if wrong:
                told = "grows" if upwards else "shrinks"
                raise InputError(
                    "grows", self.grows, f"a phase with which the tensors go: {phase} {told} in none of it"
                )

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases."""
        return tuple(self.tensors)

    def fractions(self, phase: str) -> list[float]:
        """Return the volume fraction of a phase at each point."""
        return [tensor.active_fraction for tensor in self.tensors[check_choice("phase", phase, list(self.tensors))]]

    def at(self, phase: str, fraction: float) -> dict[str, EffectiveTensor]:
        """Return the tensors of all phases of the cell in which one phase has a volume fraction.

        Parameters
        ----------
        phase
            Whose fraction it is.
        fraction
            Within those of the table.

        Returns
        -------
        dict of str to EffectiveTensor
            With bounds where the family is nested; with a warning that says between which points it was interpolated.

        Raises
        ------
        InputError
            For a fraction outside of the table.
        """
        known = np.array(self.fractions(phase))
        value = check_number("fraction", fraction)
        if not known.min() <= value <= known.max():
            allowed = f"from {known.min():.6g} to {known.max():.6g}, those of the table"
            raise InputError("fraction", value, allowed, "Make a table with more points.")
        rises = known[1] > known[0]
        order = np.arange(len(known)) if rises else np.arange(len(known))[::-1]
        high = int(np.clip(np.searchsorted(known[order], value), 1, len(known) - 1))
        a, b = sorted((int(order[high - 1]), int(order[high])))
        exact = next((k for k in (a, b) if known[k] == value), None)
        if exact is not None:
            return {name: row[exact] for name, row in self.tensors.items()}
        return {name: self._between(name, phase, value, a, b) for name in self.tensors}

    def _between(self, name: str, phase: str, fraction: float, a: int, b: int) -> EffectiveTensor:
        row = self.tensors[name]
        known = np.array(self.fractions(phase))
        value = _interpolated(known, [one.value for one in row], fraction)
        lower, upper = None, None
        told = "not guaranteed"
        if self.grows is not None:
            small, large = (row[a], row[b]) if name == self.grows else (row[b], row[a])
            lower, upper = small.lower, large.upper
            if lower is not None and upper is not None:
                value, told = brackets.clipped(value, lower, upper), "bounds of a nested family"
        areas = [one.interface_area for one in row]
        area = None
        if all(one is not None for one in areas):
            area = float(_interpolated(known, [np.array(one) for one in areas], fraction))
        shares = {
            part: fraction
            if part == phase
            else float(_interpolated(known, [np.array(one) for one in column], fraction))
            for part, column in ((part, self.fractions(part)) for part in self.tensors)
        }
        if len(shares) == 2:
            other = next(part for part in shares if part != phase)
            whole = sum(one[0].active_fraction for one in self.tensors.values())
            shares[other] = whole - fraction
        warning = (
            f"interpolated between the {phase} fractions {known[min(a, b)]:.4g} and {known[max(a, b)]:.4g} of a table "
            f"of cells, {told}"
        )
        return replace(
            row[a],
            value=value,
            lower=lower,
            upper=upper,
            interface_area=area,
            volume_fractions=shares,
            geometric_error=max(row[a].geometric_error, row[b].geometric_error),
            roundoff=max(row[a].roundoff, row[b].roundoff),
            estimated_error=None,
            config={},
            warnings=(*row[a].warnings, warning),
        )

    def by_region(self, phase: str, fractions: Mapping[str, float]) -> dict[str, dict[str, EffectiveTensor]]:
        """Return the tensors of each phase by region, as macroscale models take them, of the fractions of one phase."""
        found = {region: self.at(phase, fraction) for region, fraction in fractions.items()}
        return {name: {region: tensors[name] for region, tensors in found.items()} for name in self.tensors}

    def to_json(self, path: str | Path) -> None:
        """Write the table to a file."""
        data = {
            "kind": _KIND,
            "parameter": self.parameter,
            "points": list(self.points),
            "grows": self.grows,
            "made_from": self.made_from,
            "tensors": {name: [one.to_dict() for one in row] for name, row in self.tensors.items()},
        }
        write_text(path, json.dumps(data, allow_nan=False) + "\n")

    @classmethod
    def from_json(cls, path: str | Path) -> TensorFamily:
        """Return the table of a file.

        Raises
        ------
        FileError
            If the file is missing or none of a table of cells.
        """
        try:
            data: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.get("kind") != _KIND:
                raise ValueError("no table of cells")
            return cls(
                parameter=str(data["parameter"]),
                points=tuple(data["points"]),
                tensors={
                    name: tuple(EffectiveTensor.from_dict(one) for one in row) for name, row in data["tensors"].items()
                },
                grows=data["grows"],
                made_from=str(data["made_from"]),
            )
        except OSError as error:
            raise FileError("file", str(path), "a file that exists", f"{error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                "file", str(path), "a table of cells, as TensorFamily.to_json writes", str(error)
            ) from error


def _interpolated(known: Array, values: Sequence[Array], at: float) -> Array:
    """Monotone cubic interpolation, of two points linear."""
    from scipy.interpolate import PchipInterpolator

    order = np.argsort(known)
    return np.asarray(PchipInterpolator(known[order], np.array(values)[order], axis=0)(at))
