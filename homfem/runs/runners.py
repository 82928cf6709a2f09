"""The functions that do the work of tables, by the names that the tables give."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def runner(name: str) -> Callable[..., Any]:
    """Return the function of a name ``"package.module:function"``, as the tables of a config give it."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
