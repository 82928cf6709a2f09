"""Words in pictures: units as they are printed, axes, and which load a field belongs to."""

from __future__ import annotations

import re

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
#: The prefix of micro before a unit.
_MICRO = re.compile(r"\bu(?=(?:m|M|s|g|l|L|A|V|F|S|N|Pa|W|J|mol|molar|Sv)(?![A-Za-z]))")
_VOIGT = {1: ("xx",), 3: ("xx", "yy", "xy"), 6: ("xx", "yy", "zz", "yz", "xz", "xy")}


def symbol(unit: str) -> str:
    """Return a unit as it is printed.

    Example
    -------
    >>> symbol("um^2/s"), symbol("W/(m K)"), symbol("S/m**2"), symbol("uM")
    ('µm²/s', 'W/(m K)', 'S/m²', 'µM')
    """
    raised = re.sub(r"(?:\^|\*\*)\(?(-?\d+)\)?", lambda found: found[1].translate(_RAISED), unit)
    return _MICRO.sub("µ", raised).replace(" * ", "·").replace("*", "·")


def printed(label: str) -> str:
    """Return a label whose last word in brackets, if it is a unit, is as it is printed.

    Example
    -------
    >>> printed("calcium in the cytosol (uM)"), printed("calcium (unbuffered)"), printed("speed")
    ('calcium in the cytosol (µM)', 'calcium (unbuffered)', 'speed')
    """
    return re.sub(r"\(([^()]*)\)$", lambda found: f"({symbol(found[1])})", label)


def with_unit(name: str, unit: str) -> str:
    """Return a name with its unit in brackets, if there is one.

    Example
    -------
    >>> with_unit("x", "um"), with_unit("x", "")
    ('x (µm)', 'x')
    """
    return f"{name} ({symbol(unit)})" if unit else name


def physics_words(physics: str) -> str:
    """Return the name of a physics as it is printed.

    Example
    -------
    >>> physics_words("stokes"), physics_words("heat-conduction"), physics_words("diffusion")
    ('Stokes flow', 'heat conduction', 'diffusion')
    """
    return "Stokes flow" if physics == "stokes" else physics.replace("-", " ")


def strain_name(load: int, loads: int) -> str:
    """Return the name of an entry in Voigt notation, such as ``"xy"``; empty for a load that is none."""
    names = _VOIGT.get(loads, ())
    return names[load] if load < len(names) else ""


def load_words(kind: str, load: int, loads: int) -> str:
    """Return the direction of a load in words.

    Parameters
    ----------
    kind
        Of the tensor (:mod:`homfem.kinds`).
    load, loads
        Number of the load, from 0, and of all loads.

    Example
    -------
    >>> load_words("diffusion", 0, 3), load_words("stiffness", 2, 3), load_words("permeability", 1, 2)
    ('gradient along x', 'shear xy', 'force along y')
    """
    if kind == "stiffness":
        name = strain_name(load, loads if loads in _VOIGT else 6 if loads > 6 else 3)
        if not name:
            return f"load {load + 1}"
        return f"stretch along {name[0]}" if name[0] == name[1] else f"shear {name}"
    if load > 2 or loads > 3:
        return f"load {load + 1}"
    return f"{'force' if kind == 'permeability' else 'gradient'} along {'xyz'[load]}"
