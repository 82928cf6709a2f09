"""Some cells that take steps side by side, without tissue between them: compiled, or in NumPy.

The steps are those of :mod:`homfem.kinetics.ionic.kernels`; a compiled one comes with the loop over the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from homfem.kinetics.ionic.kernels import SCHEMES, compiled, kernel_source
from homfem.kinetics.ionic.steps import stage
from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array, InputError, check_choice, check_integer

_LOOP = """
void step(long n, long number, double time, double step, double *values, double *record, const double *numbers,
          const void *nothing)
{
  (void)nothing;
  for (long k = 0; k < number; k++) {
    one_step(n, n, time + k*step, step, values, values + n, numbers, 0);
    for (long i = 0; i < n; i++) record[k*n + i] = values[i];
  }
}
"""


class Cells:
    """n cells of one model, by NumPy.

    Parameters
    ----------
    kinetics
        The model, of one field.
    values : array, shape (1 + states, n)
        V and the states at the start; they are copied.
    parameters
        Numbers in place of the model's own.
    scheme, order
        One of :data:`homfem.kinetics.ionic.kernels.SCHEMES`, and 1 or 2.

    Attributes
    ----------
    values : array, shape (1 + states, n)
        V and the states; they change in place.

    Raises
    ------
    InputError
        For unknown names, numbers out of range, values of another shape, and a scheme that the model does not know.
    """

    def __init__(
        self,
        kinetics: PointKinetics,
        values: Array,
        *,
        parameters: Mapping[str, float] | None = None,
        scheme: str = "generalized-rush-larsen",
        order: int = 2,
    ) -> None:
        check_choice("scheme", scheme, SCHEMES)
        number = 1 + len(kinetics.states)
        if len(kinetics.fields) != 1:
            raise InputError("kinetics", kinetics.name, "a membrane: kinetics with one field")
        if values.ndim != 2 or len(values) != number:
            raise InputError("values", values.shape, f"of shape ({number}, n)")
        if scheme == "generalized-rush-larsen" and kinetics.slopes is None:
            raise InputError("scheme", scheme, f"'rush-larsen' for {kinetics.name}, which does not tell its slopes")
        self.kinetics, self.scheme, self.order = kinetics, scheme, check_integer("order", order, at_least=1, at_most=2)
        self.values = np.array(values, dtype=np.float64, order="C")
        self._p: Any = kinetics.values(parameters)

    def has(self, name: str) -> bool:
        """Tell whether there is a parameter of that name."""
        return hasattr(self._p, name)

    def set(self, name: str, value: float) -> None:
        """Give a parameter a number, in all cells."""
        setattr(self._p, name, value)

    def advance(self, time: float, step: float, number: int) -> Array:
        """Take some steps from a time; return V after each, shape (number, n)."""
        record = np.empty((number, self.values.shape[1]))
        with np.errstate(all="ignore"):
            for k in range(number):
                self.values[:] = self._stepped(time + k * step, step)
                record[k] = self.values[0]
        return record

    def _stepped(self, time: float, step: float) -> Array:
        base = now = self.values
        if self.order == 2:
            now = stage(self.kinetics, self._p, self.scheme, time=time, now=base, base=base, step=0.5 * step)
            time += 0.5 * step
        return stage(self.kinetics, self._p, self.scheme, time=time, now=now, base=base, step=step)


class CompiledCells(Cells):
    """:class:`Cells` whose steps are compiled, for kinetics with formulas."""

    def compile(self) -> bool:
        """Compile the loop, or find it compiled; return whether there is one."""
        if self.kinetics.formulas is None:
            return False
        kernel = kernel_source(self.kinetics.formulas, self.scheme, self.order)
        loop = compiled(kernel.replace("void step(", "static void one_step(", 1) + _LOOP)
        if loop is None:
            return False
        self._loop: Callable[..., None] = loop
        return True

    def advance(self, time: float, step: float, number: int) -> Array:
        """Take some steps from a time; return V after each, shape (number, n)."""
        size = self.values.shape[1]
        record, scale = np.empty((number, size)), 1.0
        numbers = np.array([*vars(self._p).values(), scale])
        addresses = (array.ctypes.data for array in (self.values, record, numbers))
        self._loop(size, number, time, step, *addresses, None)
        return record


def make_cells(kinetics: PointKinetics, values: Array, **options: Any) -> Cells:
    """Return :class:`Cells`, compiled where there is a compiler and the kinetics have formulas."""
    fast = CompiledCells(kinetics, values, **options)
    return fast if fast.compile() else Cells(kinetics, values, **options)
