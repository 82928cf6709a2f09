"""The step of several buffers at a node (:func:`homfem.kinetics.calcium.binding_step`) as C, compiled at first use."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from homfem.kinetics.calcium.buffers import LOST, Buffer
from homfem.kinetics.ionic.kernels import compiled
from homfem.parameters import Array, ConvergenceError

#: Most buffers of one phase that the code takes.
MOST = 15

_CODE = """
#define W 8
#define EACH for (int i = 0; i < W; i++)
double fabs(double);
typedef double lanes[16][W];

/* Backward Euler of the length k at W nodes; of length 0 rapid buffers alone react. Numbers: B, k+, k-, rapid. */
static int implicit(long m, double k, lanes y, lanes z, const double *numbers, lanes rho)
{
  lanes kept, over;
  double one[16], under[16], total[W], x[W], least[W], value[W], slope[W];
  EACH { total[i] = y[0][i]; least[i] = y[0][i] < 0.0 ? y[0][i] : 0.0; x[i] = y[0][i] > 0.0 ? y[0][i] : 0.0; }
  for (long j = 0; j < m; j++) {
    const double *b = numbers + 4*j;
    const int rapid = b[3] > 0.0;
    const double length = rapid ? 1.0 : k, there = rapid ? 0.0 : 1.0;
    one[j] = there + length*b[2];
    under[j] = length*b[1];
    EACH {
      total[i] += rho[j][i]*y[j + 1][i];
      kept[j][i] = there*y[j + 1][i];
      over[j][i] = length*b[1]*b[0];
    }
  }
  int found = 0;
  for (int count = 0; count < 60 && !found; count++) {
    EACH { value[i] = x[i] - total[i]; slope[i] = 1.0; }
    for (long j = 0; j < m; j++) {
      EACH {
        const double inverse = 1.0/(one[j] + under[j]*x[i]), there = (kept[j][i] + over[j][i]*x[i])*inverse;
        value[i] += rho[j][i]*there;
        slope[i] += rho[j][i]*(over[j][i] - under[j]*there)*inverse;
      }
    }
    int left = 0;
    EACH {
      double new = x[i] - value[i]/slope[i];
      new = new < least[i] ? least[i] : new;
      left += !(fabs(new - x[i]) <= 1e-14*fabs(new) + 1e-300 || fabs(value[i]) <= 1e-15*fabs(total[i]));
      x[i] = new;
    }
    found = !left;
  }
  int bad = !found;
  EACH { bad += !(fabs(x[i]) < 1e300); z[0][i] = y[0][i]; }
  for (long j = 0; j < m; j++) {
    EACH {
      z[j + 1][i] = (kept[j][i] + over[j][i]*x[i])/(one[j] + under[j]*x[i]);
      z[0][i] += rho[j][i]*(y[j + 1][i] - z[j + 1][i]);
    }
  }
  return !bad;
}

void step(long n, long m, double order, double k, double *const *fields, double *restrict lost,
          const double *numbers, const double *const *shares)
{
  int all = 1, some = 0;
  for (long j = 0; j < m; j++) {
    all = all && numbers[4*j + 3] > 0.0;
    some = some || numbers[4*j + 3] > 0.0;
  }
  for (long first = 0; first < n; first += W) {
    lanes y, coarse, half, fine, rho;
    int outside[W];
    EACH {
      const long at = first + i < n ? first + i : n - 1;
      for (long j = 0; j <= m; j++) y[j][i] = fields[j][at];
      for (long j = 0; j < m; j++) rho[j][i] = shares[j] ? shares[j][at] : 1.0;
      outside[i] = 0;
    }
    int good = implicit(m, k, y, coarse, numbers, rho);
    if (good && order > 1.5 && !all) {
      good = implicit(m, 0.5*k, y, half, numbers, rho) && implicit(m, 0.5*k, half, fine, numbers, rho);
      for (long j = 0; j <= m; j++) {
        const double most = j ? numbers[4*(j - 1)] : 1e300;
        EACH {
          coarse[j][i] = 2.0*fine[j][i] - coarse[j][i];
          outside[i] |= coarse[j][i] < (y[j][i] < 0.0 ? y[j][i] : 0.0);
          outside[i] |= coarse[j][i] > (y[j][i] > most ? y[j][i] : most);
        }
      }
      for (long j = 0; j <= m; j++) EACH coarse[j][i] = outside[i] ? fine[j][i] : coarse[j][i];
      if (good && some) {
        good = implicit(m, 0.0, coarse, half, numbers, rho);
        for (long j = 0; j <= m; j++) EACH coarse[j][i] = half[j][i];
      }
    }
    if (!good) { *lost = 1.0; return; }
    const long here = n - first < W ? n - first : W;
    for (long j = 0; j <= m; j++) for (long i = 0; i < here; i++) fields[j][first + i] = coarse[j][i];
  }
}
"""


@cache
def _code() -> Callable[..., None] | None:
    return compiled(_CODE)


def compiled_binding(
    calcium: Array, bound: Sequence[Array], buffers: Sequence[Buffer], shares: Sequence[float | Array], order: int
) -> Callable[[float], None] | None:
    """Return what advances these arrays by a step, or None where there is no compiler or nothing to gain.

    Parameters
    ----------
    calcium, bound, buffers, shares, order
        As of :func:`homfem.kinetics.calcium.binding_step`; the arrays are contiguous, and changed in place.
    """
    fields, count = [calcium, *bound], len(buffers)
    straight = all(values.flags.c_contiguous and values.dtype == np.float64 for values in fields)
    if not 1 < count <= MOST or not straight or (step := _code()) is None:
        return None
    given: list[Any] = [np.full(len(calcium), one) if np.ndim(one) == 0 and one != 1.0 else one for one in shares]
    arrays = [np.ascontiguousarray(one) if isinstance(one, np.ndarray) else None for one in given]
    numbers = np.array([number for b in buffers for number in (b.total, b.k_on, b.k_off, float(b.rapid))])
    pointers = (ctypes.c_void_p * (count + 1))(*(values.ctypes.data for values in fields))
    weights = (ctypes.c_void_p * count)(*(None if one is None else one.ctypes.data for one in arrays))
    lost, kept = np.zeros(1), (fields, arrays)

    def advance(length: float) -> None:
        lost[0] = 0.0
        step(
            len(kept[0][0]), count, float(order), length, ctypes.addressof(pointers), lost.ctypes.data,
            numbers.ctypes.data, ctypes.addressof(weights),
        )  # fmt: skip
        if lost[0]:
            raise ConvergenceError(LOST)

    return advance
