"""What a computation may take of the machine's memory: estimated before anything is made, refused beyond a limit.

The limit is :data:`SHARE` of the memory of the machine, or of the container; the environment variable
:data:`VARIABLE` sets another one. No dolfinx here.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

from homfem.parameters import InputError, VariableError

#: The environment variable with the limit, such as ``64 GB``.
VARIABLE = "HOMFEM_MEMORY"
#: Part of the machine's memory that a computation may take, if nothing else is said.
SHARE = 0.7

_UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}
_LITTLE = 1e7  # bytes; less than the interpreter takes, so that the machine need not be asked
_LARGEST = 2.0**62  # bytes; the limit of a process is a signed number of 64 bits
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class MemoryLimitError(InputError):
    """What is asked for takes more memory than it may."""


class BudgetError(InputError):
    """What is asked for takes more unknowns than it may."""


def memory_limit() -> float:
    """Return how many bytes a computation may take.

    Raises
    ------
    VariableError
        If :data:`VARIABLE` is set to something else than a size.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3}))?\s*([kMGT]?i?B)", given)
        if found is None or found[3] not in _UNITS or float(found[1]) == 0.0:
            raise VariableError(VARIABLE, given, "a size of memory, such as '64 GB'")
        return min(float(f"{found[1]}e{found[2] or 0}") * _UNITS[found[3]], _LARGEST)
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return SHARE * min([machine, *_of_container()])


def _of_container() -> list[float]:
    texts = [Path(name).read_text().strip() for name in _CONTAINER if os.access(name, os.R_OK)]
    return [float(text) for text in texts if text.isdigit()]


def require_memory(name: str, value: Any, needed: float, what: str, remedy: str = "") -> None:
    """Refuse a parameter with which something would take more memory than the limit.

    Parameters
    ----------
    name, value
        The parameter that decides how large it is.
    needed
        An estimate of the bytes; infinite or nan where there is no telling.
    what
        What takes them, such as ``"a mesh of 2e+09 tetrahedra"``.
    remedy
        What to change.

    Raises
    ------
    MemoryLimitError
    """
    if needed <= _LITTLE and not os.environ.get(VARIABLE):
        return
    limit = memory_limit()
    if needed <= limit:
        return
    size = readable(needed) if math.isfinite(needed) else "more than can be counted"
    allowed = f"one that fits into {readable(limit)} of memory: {what} would take about {size}"
    more = f"To allow more, set the environment variable {VARIABLE}, such as {VARIABLE}='64 GB'."
    raise MemoryLimitError(name, value, allowed, f"{remedy} {more}".strip())


def readable(size: float) -> str:
    """Return a number of bytes with three digits, such as ``"16.2 GB"``."""
    for unit in ("TB", "GB", "MB", "kB"):
        if size >= 1e4 * _UNITS["TB"]:
            return f"{size / _UNITS['TB']:.3g} TB"
        if size >= _UNITS[unit]:
            return f"{float(f'{size / _UNITS[unit]:.3g}'):g} {unit}"
    return f"{size:.0f} B"
