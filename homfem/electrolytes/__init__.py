"""Ions in charged media: valences and baths, Donnan equilibrium, what the transport of each says of all. No DOLFINx.

Units: concentrations in one unit, diffusivities in one unit, potentials in kT/e unless said otherwise.
"""

from homfem.electrolytes.donnan import Equilibrium, donnan_potential, equilibria
from homfem.electrolytes.gels import Gel, GelTensors
from homfem.electrolytes.ions import (
    FARADAY,
    GAS,
    TEMPERATURE,
    VACUUM,
    Ion,
    check_bath,
    check_temperature,
    conductivity_factor,
    thermal_voltage,
)
from homfem.electrolytes.layers import GelTransport, layered_gel_frozen, layered_gel_steady
from homfem.electrolytes.results import gel_tensor
from homfem.electrolytes.slits import ChargedSlit

__all__ = [
    "FARADAY",
    "GAS",
    "TEMPERATURE",
    "VACUUM",
    "ChargedSlit",
    "Equilibrium",
    "Gel",
    "GelTensors",
    "GelTransport",
    "Ion",
    "check_bath",
    "check_temperature",
    "conductivity_factor",
    "donnan_potential",
    "equilibria",
    "gel_tensor",
    "layered_gel_frozen",
    "layered_gel_steady",
    "thermal_voltage",
]
