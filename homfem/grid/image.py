"""Pixel and voxel images: one phase in each voxel of a periodic box.

Axes are x, y and (in three dimensions) z, in this order: ``labels[i, j, k]`` is the voxel at
``[i h_x, (i + 1) h_x] x [j h_y, (j + 1) h_y] x [k h_z, (k + 1) h_z]``. The image is one period.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.limits import require_memory
from homfem.parameters import Array, InputError, Lattice, check_choice, check_integer, check_number, check_spd

Labels = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Image:
    """A periodic image of phases.

    Parameters
    ----------
    phases : array of int, shape (n_x, n_y) or (n_x, n_y, n_z)
        Number of the phase in each voxel, an index into ``names``. Every phase has at least one voxel.
    names : tuple of str
        Names of the phases, all different.
    voxel : tuple of float
        Edges of a voxel along x, y (and z), > 0, in ``length_unit``. One number means a square or a cube.
    length_unit : str
        Unit of length, such as ``"um"``.
    warnings : tuple of str
        What the user of a result must know of the image.

    Raises
    ------
    InputError
        For anything else, with the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> image = Image.from_labels(np.array([[0, 1], [1, 0]]), {"pore": 0, "solid": 1})
    >>> image.volume_fractions
    {'pore': 0.5, 'solid': 0.5}
    """

    phases: Labels
    names: tuple[str, ...]
    voxel: tuple[float, ...] = (1.0,)
    length_unit: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        phases = check_array("phases", self.phases)
        if not np.issubdtype(phases.dtype, np.integer):
            raise InputError("phases", phases, "an array of whole numbers")
        names = tuple(self.names)
        if not names or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise InputError("names", self.names, "different names, one for each phase")
        if phases.min() < 0 or phases.max() >= len(names):
            raise InputError("phases", phases, f"numbers from 0 to {len(names) - 1}, one for each of {names}")
        small = phases.astype(np.min_scalar_type(len(names)), copy=True)
        absent = np.flatnonzero(np.bincount(small.reshape(-1), minlength=len(names)) == 0)
        if len(absent):
            raise InputError("names", names[absent[0]], "a phase that at least one voxel has", "Leave it out.")
        small.setflags(write=False)
        object.__setattr__(self, "phases", small)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "voxel", check_voxel(self.voxel, small.ndim))

    @classmethod
    def from_labels(
        cls,
        array: npt.ArrayLike,
        labels: Mapping[str, int | float | Sequence[int | float]],
        *,
        voxel: float | Sequence[float] = 1.0,
        length_unit: str = "",
        dimension: int | None = None,
    ) -> Image:
        """Return the image of an array of labels.

        Parameters
        ----------
        array
            Numbers, shape (n_x, n_y) or (n_x, n_y, n_z).
        labels
            Name of each phase and its label, or several labels. Every number in the array has a name.
        voxel, length_unit
            As in the class.
        dimension
            2 or 3 if the image must have that many axes.

        Raises
        ------
        InputError
            For an array that is not numeric, NaN, a label without a voxel, a voxel without a label, or the wrong
            number of axes.
        """
        given = check_array("image", array, dimension)
        if not isinstance(labels, Mapping) or not labels:
            raise InputError("labels", labels, "a table of phase names and their labels, such as {'pore': 1}")
        values, inverse = np.unique(given, return_inverse=True)
        phase = np.full(len(values), -1, dtype=np.int64)
        for number, (name, wanted) in enumerate(labels.items()):
            for label in [wanted] if np.isscalar(wanted) else list(wanted):  # type: ignore[arg-type]
                value = check_number(f"labels.{name}", label)
                found = np.flatnonzero(values == value)
                known = f"a label of the image, which has {_listed(values)}"
                if len(found) == 0:
                    raise InputError(f"labels.{name}", label, known, "No voxel has this one.")
                if phase[found[0]] >= 0:
                    raise InputError(f"labels.{name}", label, "given to one phase only")
                phase[found[0]] = number
        if (phase < 0).any():
            left = values[phase < 0]
            remedy = f"The image also has {_listed(left)}."
            if len(values) > 20:
                remedy += " If it is a grey-level image give thresholds instead of labels."
            raise InputError("labels", dict(labels), "a name for every label of the image", remedy)
        return cls(
            phases=phase[inverse].reshape(given.shape).astype(np.min_scalar_type(len(labels))),
            names=tuple(labels),
            voxel=voxel,  # type: ignore[arg-type]
            length_unit=length_unit,
        )

    @classmethod
    def from_grey(
        cls,
        array: npt.ArrayLike,
        thresholds: float | Sequence[float],
        names: Sequence[str],
        *,
        voxel: float | Sequence[float] = 1.0,
        length_unit: str = "",
        dimension: int | None = None,
    ) -> Image:
        """Return the image that thresholds cut out of grey levels.

        Phase ``names[i]`` has the grey levels g with ``thresholds[i - 1] <= g < thresholds[i]``: the first name is that
        of the darkest voxels. There is one name more than thresholds. Other parameters as in :meth:`from_labels`.
        """
        given = check_array("image", array, dimension)
        cuts = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
        if cuts.ndim != 1 or not np.all(np.isfinite(cuts)) or np.any(np.diff(cuts) <= 0.0):
            raise InputError("thresholds", thresholds, "finite numbers that grow")
        if len(names) != len(cuts) + 1:
            raise InputError("names", tuple(names), f"{len(cuts) + 1} names for {len(cuts)} threshold(s)")
        phases = np.digitize(given, cuts)
        present = np.bincount(phases.reshape(-1), minlength=len(names)) > 0
        if not present.all():
            grey = f"The grey levels are from {given.min():g} to {given.max():g}."
            missing = names[int(np.argmin(present))]
            raise InputError("thresholds", thresholds, f"such that some voxel is {missing!r}", grey)
        return cls(phases=phases, names=tuple(names), voxel=voxel, length_unit=length_unit)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of voxels along the axes."""
        return self.phases.shape

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return self.phases.ndim

    @property
    def period(self) -> tuple[float, ...]:
        """Lengths of the period along the axes, in ``length_unit``."""
        return tuple(n * h for n, h in zip(self.shape, self.voxel, strict=True))

    @property
    def lattice(self) -> Lattice:
        """The period vectors."""
        return Lattice(vectors=np.diag(self.period))

    @property
    def volume_fractions(self) -> dict[str, float]:
        """Phase name to volume fraction."""
        counts = np.bincount(self.phases.reshape(-1), minlength=len(self.names))
        return {name: float(count / self.phases.size) for name, count in zip(self.names, counts, strict=True)}

    @property
    def interface_area(self) -> float:
        """Area of the faces between different phases per volume, in 1/``length_unit``, faces across the period too.

        The faces are those of the voxels: for a smooth surface that they follow in steps it does not converge to the
        area of the surface (for a sphere it is 3/2 of it).
        """
        total = 0.0
        for axis, h in enumerate(self.voxel):
            total += np.count_nonzero(self.phases != np.roll(self.phases, 1, axis=axis)) / (self.phases.size * h)
        return float(total)

    def mask(self, *names: str) -> npt.NDArray[np.bool_]:
        """Return where one of the named phases is."""
        for name in names:
            check_choice("phase", name, self.names)
        return np.isin(self.phases, [self.names.index(name) for name in names])

    def mirrored(self, *axes: int) -> Image:
        """Return the image followed by its mirror image along the axes (all by default): periodic without a jump."""
        phases = self.phases
        for axis in axes or range(self.dimension):
            check_integer("axis", axis, at_least=0, at_most=self.dimension - 1)
            phases = np.concatenate([phases, np.flip(phases, axis)], axis=axis)
        return replace(self, phases=phases)

    def refined(self, cuts: int) -> Image:
        """Return the same image with every voxel cut into ``cuts`` equal parts along each axis."""
        check_integer("cuts", cuts, at_least=1)
        voxels = float(self.phases.size) * float(cuts) ** self.dimension
        require_memory("cuts", cuts, 2.0 * self.phases.itemsize * voxels, f"an image of {voxels:.3g} voxels")
        phases = self.phases
        for axis in range(self.dimension):
            phases = np.repeat(phases, cuts, axis=axis)
        return replace(self, phases=phases, voxel=tuple(h / cuts for h in self.voxel))

    def shifted(self, *steps: int) -> Image:
        """Return the image moved cyclically by a number of voxels along each axis."""
        return replace(self, phases=np.roll(self.phases, steps, axis=tuple(range(self.dimension))))

    def transposed(self, *axes: int) -> Image:
        """Return the image with its axes in another order, as :func:`numpy.transpose`."""
        return replace(self, phases=np.transpose(self.phases, axes), voxel=tuple(self.voxel[a] for a in axes))

    def block_averaged(self, size: int) -> Image:
        """Return the image in blocks of ``size`` voxels along each axis, of the phase that most of their voxels have.

        Where phases are level, the one that comes first in ``names`` wins. A phase that wins nowhere is left out.

        Source: March, Carr, Turner, section 5.4 (pixelation).
        """
        counts = self._block_counts(size)
        winner = np.argmax(counts, axis=-1)
        present, phases = np.unique(winner, return_inverse=True)
        return replace(
            self,
            phases=phases.reshape(winner.shape).astype(np.uint64),
            names=tuple(self.names[k] for k in present),
            voxel=tuple(h * size for h in self.voxel),
        )

    def mixed(
        self, size: int, coefficients: Mapping[str, float | npt.ArrayLike], *, mean: str = "geometric"
    ) -> tuple[Image, dict[str, float | Array]]:
        r"""Return the image in blocks of ``size`` voxels along each axis with averaged coefficients.

        A block of fractions :math:`f_p` has :math:`\sum f_pD_p` (``"arithmetic"``), :math:`(\sum f_pD_p^{-1})^{-1}`
        (``"harmonic"``) or :math:`\exp\sum f_p\ln D_p` (``"geometric"``). The effective tensor of the
        blocks approximates that of the image; its bounds are those of the blocks, not of the image.

        Parameters
        ----------
        size
            Divides the number of voxels along every axis.
        coefficients
            Of each phase that conducts. A block counts as insulating if it has a voxel of another phase and the mean is
            not arithmetic.
        mean
            See above.

        Returns
        -------
        image : Image
            Its phases are the mixtures, named ``"a"`` where pure and ``"0.25 a + 0.75 b"`` where not.
        coefficients : dict
            Of each mixture that conducts.
        """
        check_choice("mean", mean, ("arithmetic", "geometric", "harmonic"))
        table = coefficient_table(self, coefficients)
        counts = self._block_counts(size)
        kinds, phases = np.unique(counts.reshape(-1, len(self.names)), axis=0, return_inverse=True)
        names, result = [], {}
        for kind in kinds / kinds[0].sum():
            name = " + ".join(f"{f:.6g} {p}" for f, p in zip(kind, self.names, strict=True) if 0.0 < f < 1.0)
            name = name or self.names[int(np.argmax(kind))]
            names.append(name)
            conducts = np.array([bool(np.any(matrix)) for matrix in table])
            if mean == "arithmetic":
                value = np.tensordot(kind, table, axes=1)
            elif np.any(kind[~conducts] > 0.0):
                continue
            else:
                there = kind > 0.0
                value = _mean_of_matrices(kind[there], table[there], mean)
            if np.any(value):
                result[name] = value
        blocks = replace(
            self,
            phases=phases.reshape(counts.shape[:-1]).astype(np.uint64),
            names=tuple(names),
            voxel=tuple(h * size for h in self.voxel),
        )
        return blocks, {name: _scalar(value) for name, value in result.items()}

    def _block_counts(self, size: int) -> npt.NDArray[np.int64]:
        check_integer("size", size, at_least=1)
        if any(n % size for n in self.shape):
            raise InputError("size", size, f"a divisor of {' and '.join(map(str, self.shape))} voxels")
        split = tuple(itertools.chain.from_iterable((n // size, size) for n in self.shape))
        inner = tuple(range(1, 2 * self.dimension, 2))
        counts = [(self.phases == k).reshape(split).sum(axis=inner) for k in range(len(self.names))]
        return np.stack(counts, axis=-1)


def check_array(name: str, array: Any, dimension: int | None = None) -> npt.NDArray[Any]:
    """Return an array of finite numbers with two or three axes, or raise :class:`InputError`."""
    try:
        given = np.asarray(array)
    except ValueError as error:
        raise InputError(name, array, "a rectangular array of numbers") from error
    if not (np.issubdtype(given.dtype, np.number) or given.dtype == bool) or np.iscomplexobj(given):
        raise InputError(name, given, "an array of numbers", f"This one holds {given.dtype}.")
    if given.ndim not in (2, 3) or given.size == 0:
        raise InputError(name, f"an array of shape {given.shape}", "an image with 2 or 3 axes and at least one voxel")
    if dimension is not None and given.ndim != dimension:
        remedy = "Take one slice of it." if given.ndim > dimension else ""
        raise InputError(name, f"an array of shape {given.shape}", f"an image with {dimension} axes", remedy)
    if np.issubdtype(given.dtype, np.floating) and not np.isfinite(given).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(given))[0])
        remedy = "Replace these voxels or give them a label of their own."
        raise InputError(f"{name}[{', '.join(map(str, where))}]", float(given[where]), "a finite number", remedy)
    return given.astype(np.uint8) if given.dtype == bool else given


def check_voxel(value: Any, dimension: int, name: str = "voxel") -> tuple[float, ...]:
    """Return the edges of a voxel, or of the image, along each axis; one number means all of them."""
    allowed = f"one number > 0 or {dimension}, one for each axis"
    try:
        sizes = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if sizes.shape == (1,):
        sizes = np.repeat(sizes, dimension)
    if sizes.shape != (dimension,) or not np.all(np.isfinite(sizes)) or np.any(sizes <= 0.0):
        raise InputError(name, value, allowed, f"The image has {dimension} axes.")
    return tuple(float(h) for h in sizes)


def coefficient_table(image: Image, coefficients: Mapping[str, float | npt.ArrayLike]) -> Array:
    """Return the coefficient of each phase of the image, zero where none is named; shape (phases, d, d)."""
    if not isinstance(coefficients, Mapping) or not coefficients:
        raise InputError("coefficients", coefficients, f"given for at least one of {image.names}")
    table = np.zeros((len(image.names), image.dimension, image.dimension))
    for name, value in coefficients.items():
        check_choice("phase", name, image.names)
        table[image.names.index(name)] = check_spd(f"coefficients.{name}", value, image.dimension)
    return table


def _mean_of_matrices(weights: Array, matrices: Array, mean: str) -> Array:
    if mean == "harmonic":
        return np.asarray(np.linalg.inv(np.tensordot(weights, np.linalg.inv(matrices), axes=1)))
    values, axes = np.linalg.eigh(matrices)
    logarithm = np.tensordot(weights, axes * np.log(values)[:, None, :] @ axes.transpose(0, 2, 1), axes=1)
    values, vectors = np.linalg.eigh(logarithm)
    return np.asarray(vectors * np.exp(values) @ vectors.T)


def _scalar(matrix: Array) -> float | Array:
    return float(matrix[0, 0]) if np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))) else matrix


def _listed(values: npt.NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return shown if len(values) <= 8 else f"{shown}, ... ({len(values)} different numbers)"
