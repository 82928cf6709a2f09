"""Currents of calcium as amounts per time."""

from __future__ import annotations

#: Charge of a mole of calcium ions, C/mol (CODATA 2018).
_CHARGE = 2.0 * 96485.33212

#: What a current of 1 pA of calcium brings per time, uM um^3/s (1 uM um^3 = 1e-21 mol).
PER_PICOAMPERE = 1e-12 / _CHARGE / 1e-21
