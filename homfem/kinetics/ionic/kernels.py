r"""One step of a membrane at many nodes, compiled: a loop over the nodes that the compiler turns into vectors.

The potential V and the states X lie as one array each (structure of arrays). With a step k, from values (V, X) and
rates taken at (V*, X*), a gate and another quantity y go to

.. math::
    X_\infty + (X - X_\infty)\,e^{-k\rho},\qquad
    y + k\,\varphi(k a)\,\bigl(\dot y^* + a\,(y - y^*)\bigr),\quad \varphi(z) = (e^z - 1)/z,

with :math:`a = 0` in ``"rush-larsen"`` (Rush, Larsen 1978, doi 10.1109/TBME.1978.326270) and
:math:`a = \partial\dot y/\partial y` in ``"generalized-rush-larsen"`` (Sundnes, Artebrant, Skavhaug, Tveito 2009,
doi 10.1109/TBME.2009.2014739); ``"explicit"`` takes gates as the others, with a = 0. At first order (V*, X*) is the
start of the step, at second order what half a step of the same kind gives (for the gates: Perego, Veneziani 2009,
ETNA 35, 234).

The compiler is told that sums may be reordered, never that there are no NaN: a state that is not finite stays so.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from homfem.kinetics.ionic.cache import keep, kept
from homfem.kinetics.ionic.formulas import Formulas

log = logging.getLogger("homfem")

#: How the quantities of a membrane take a step.
SCHEMES = ("rush-larsen", "generalized-rush-larsen", "explicit")
#: Name of the factor of the rate of V, which is none of a parameter.
SCALE = ""
#: Of the compiler, from fast to safe: the first set that works is taken. None of them alters how the processor rounds,
#: as ``-ffast-math`` does for the whole process when it links.
_COMMON = ("-O3", "-fPIC", "-shared", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math")
_REORDERED = ("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math")
OPTIONS = (
    (*_COMMON, *_REORDERED, "-fopenmp-simd", "-march=native", "-DVECTOR_MATH"),
    (*_COMMON, *_REORDERED, "-fopenmp-simd", "-march=native"),
    ("-O2", "-fPIC", "-shared"),
)
#: Seconds that a compilation may take.
_PATIENCE = 300

#: Of every kernel: what it may call.
C_HEAD = """
#if defined(VECTOR_MATH) && defined(__GNUC__) && !defined(__clang__)
#define SIMD __attribute__((simd("notinbranch")))
#else
#define SIMD
#endif
SIMD double exp(double);
SIMD double log(double);
SIMD double pow(double, double);
SIMD double sin(double);
SIMD double cos(double);
double sqrt(double);
double fabs(double);
double floor(double);
double ceil(double);
double fmod(double, double);
double tan(double);
double asin(double);
double acos(double);
double atan(double);
double tanh(double);
double sinh(double);
double cosh(double);
double log10(double);
double fmax(double, double);
double fmin(double, double);
static inline double power2(double x) { return x*x; }
static inline double power3(double x) { return x*x*x; }
static inline double power4(double x) { return (x*x)*(x*x); }
static inline double bernoulli(double w)
{
  const double s = w*w;
  const double series = 1.0 - w/2.0 + s*(1.0/12.0 - s*(1.0/720.0 - s*(1.0/30240.0 - s/1209600.0)));
  const double whole = w/(exp(w) - 1.0);
  return fabs(w) < 0.1 ? series : whole;
}
static inline double bernoulli_slope(double w)
{
  const double s = w*w;
  const double series = w*(1.0/6.0 - s*(1.0/180.0 - s*(1.0/5040.0 - s*(1.0/151200.0 - s/4790016.0)))) - 0.5;
  const double b = w/(exp(w) - 1.0);
  return fabs(w) < 0.3 ? series : b*((1.0 - b)/w - 1.0);
}
static inline double phi(double z)
{
  const double small = 1.0 + z*(1.0/2.0 + z*(1.0/6.0 + z*(1.0/24.0)));
  const double whole = (exp(z) - 1.0)/z;
  return fabs(z) < 1e-3 ? small : whole;
}
"""


def kernel_source(formulas: Formulas, scheme: str, order: int, arrays: Sequence[str] = ()) -> str:
    """Return the C code of a step.

    Parameters
    ----------
    formulas
        The membrane.
    scheme, order
        One of :data:`SCHEMES`, and 1 or 2.
    arrays
        Names of the parameters that have a value at each node; :data:`SCALE` is a factor of the rate of V.
    """
    names = [*(entry.name for entry in formulas.parameters), SCALE]
    head = (
        "void step(long n, long ld, double time, double step, double *restrict potential,"
        " double *restrict states, const double *numbers, const double *const *arrays)"
    )
    lines = [C_HEAD, head, "{"]
    lines += [f"  double *restrict x{k} = states + {k}*ld;" for k in range(len(formulas.states))]
    numbers = [name for name in names if name not in arrays]
    lines += [f"  const double {_in_c(name)} = numbers[{k}];" for k, name in enumerate(numbers)]
    lines += [f"  const double *restrict a{k} = arrays[{k}];" for k in range(len(arrays))]
    lines += ["  #pragma omp simd", "  for (long i = 0; i < n; i++) {"]
    lines += [f"    const double {_in_c(name)} = a{k}[i];" for k, name in enumerate(arrays)]
    places = ["potential[i]", *(f"x{k}[i]" for k in range(len(formulas.states)))]
    lines += [f"    const double y{k} = {place};" for k, place in enumerate(places)]
    start = [f"y{k}" for k in range(len(places))]
    if order == 2:
        middle = [f"z{k}" for k in range(len(places))]
        lines += [f"    double {name};" for name in middle]
        lines += _stage(formulas, scheme, at=start, to=middle, time="time", step="(0.5*step)")
        start = middle
        lines += _stage(formulas, scheme, at=middle, to=places, time="(time + 0.5*step)", step="step")
    else:
        lines += _stage(formulas, scheme, at=start, to=places, time="time", step="step")
    return "\n".join([*lines, "  }", "}", ""])


def _in_c(name: str) -> str:
    return f"{name}_" if name else "scale_x"


def _stage(formulas: Formulas, scheme: str, *, at: Sequence[str], to: Sequence[str], time: str, step: str) -> list[str]:
    """Return the statements that take y to new values with the rates at given ones."""
    slopes = scheme == "generalized-rush-larsen"
    variables = (formulas.potential, *formulas.states)
    lines = ["    {", f"      const double time_ = {time};"]
    lines += [f"      const double {entry.name}_ = {value};" for entry, value in zip(variables, at, strict=True)]
    lines += ["      " + line for line in (formulas.c_slopes if slopes else formulas.c).splitlines()]
    for k, (entry, now, place) in enumerate(zip(variables, at, to, strict=True)):
        name, factor = entry.name, "scale_x*" if k == 0 else ""
        if entry.gate and scheme != "explicit":
            new = f"target__{name}_x + (y{k} - target__{name}_x)*exp(-{step}*speed__{name}_x)"
        elif entry.gate:
            new = f"y{k} + {step}*speed__{name}_x*(target__{name}_x - {now})"
        elif slopes:
            slope = f"{factor}slope__{name}_x"
            new = f"y{k} + {step}*phi({step}*{slope})*({factor}rate__{name}_x + {slope}*(y{k} - {now}))"
        else:
            new = f"y{k} + {step}*{factor}rate__{name}_x"
        lines.append(f"      {place} = {new};")
    return [*lines, "    }"]


def compiled(source: str) -> Callable[..., None] | None:
    """Return the function ``step`` of C code, compiled at first use, or None where that is not possible.

    What is compiled is kept by a hash of the code, the options, the compiler and the processor: folders that several
    kinds of machines share hold one for each. A reason for None is said once.
    """
    compiler = _compiler()
    if compiler is None:
        _say("there is no C compiler on the PATH")
        return None
    reason = ""
    for options in OPTIONS:
        key = "\0".join([source, *options, *_identity(compiler), _processor()])
        name = f"kernel-{hashlib.sha256(key.encode()).hexdigest()[:32]}.so"
        try:
            return _loaded(name, [compiler, *options], source)
        except (OSError, subprocess.SubprocessError) as error:
            reason = _reason(error)
    _say(reason)
    return None


def _loaded(name: str, command: list[str], source: str) -> Callable[..., None]:
    """Return the function of a library that is kept, or is compiled now."""
    path = kept(name)
    if path is not None:
        try:
            return _function(path)
        except OSError:  # it was damaged
            path.unlink(missing_ok=True)
    return _function(keep(name, lambda part: _compile(command, source, part)))


def _function(path: Path) -> Callable[..., None]:
    function = ctypes.CDLL(str(path)).step
    function.restype = None
    function.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_double, ctypes.c_double, *(4 * [ctypes.c_void_p])]
    return function


def _compile(command: list[str], source: str, path: Path) -> None:
    file = path.with_suffix(".c")
    file.write_text(source)
    subprocess.run(
        [*command, str(file), "-o", str(path), "-lm"], check=True, capture_output=True, text=True, timeout=_PATIENCE
    )


def _compiler() -> str | None:
    """Return the C compiler: the environment's ``CC``, else that of the PATH."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def _identity(compiler: str) -> tuple[str, ...]:
    """Return what tells one version of a compiler from another, without running it."""
    path = os.path.realpath(compiler)
    about = os.stat(path)
    return path, str(about.st_size), str(about.st_mtime_ns)


@cache
def _processor() -> str:
    """Return what this processor can do."""
    words = [platform.machine()]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        words.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "flags", "Features", "CPU part")):
                words.append(line)
            elif not line:
                break
    return "\n".join(words)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "stderr", "") or error)
    return next((line for line in text.splitlines() if "error" in line), text[:300])


@cache
def _say(reason: str) -> None:
    log.warning("ionic models are not compiled: %s. NumPy takes their steps, several times slower", reason)
