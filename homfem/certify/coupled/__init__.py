"""Elasticity with one more load: temperature, pore pressure, active stress."""

from homfem.certify.coupled.physics import ActiveElasticity, Poroelasticity, Thermoelasticity
from homfem.certify.coupled.results import ActiveStress, PoroElastic, ThermoElastic
from homfem.certify.coupled.solve import (
    homogenize_active_stress,
    homogenize_poroelasticity,
    homogenize_thermoelasticity,
    solve_active_stress,
    solve_poroelasticity,
    solve_thermoelasticity,
)

__all__ = [
    "ActiveElasticity",
    "ActiveStress",
    "PoroElastic",
    "Poroelasticity",
    "ThermoElastic",
    "Thermoelasticity",
    "homogenize_active_stress",
    "homogenize_poroelasticity",
    "homogenize_thermoelasticity",
    "solve_active_stress",
    "solve_poroelasticity",
    "solve_thermoelasticity",
]
