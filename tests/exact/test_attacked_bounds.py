"""Random laminates, whose tensors are known in rational arithmetic: never outside of the bounds."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from made_laminates import layered, random_trial, rational, strain_of

NUMBERS = {"diffusion": 20, "membranes": 10, "windows": 10, "elasticity": 8, "grid": 8, "dispersion": 6}


def test_the_exact_tensors_are_those_of_the_formulas():
    """Against the closed forms of :mod:`homfem.bounds`, which lose digits at high contrast and not at this one."""
    from homfem.bounds import laminate_conductivity, laminate_stiffness
    from homfem.stiffness import stiffness

    layers, share = [np.diag([1.0, 2.0, 3.0]), np.diag([4.0, 1.0, 0.5])], [0.25, 0.75]
    exact = layered([rational(m) for m in layers], list(rational(share)), rational(np.eye(3)[:, [1]]))
    assert np.abs(exact.astype(float) - laminate_conductivity(layers, share, [0, 1, 0])).max() < 1e-14
    for d in (2, 3):
        for normal in range(d):
            solids = [{"young": 1.0, "poisson": 0.3}, {"young": 5.0, "poisson": 0.1}]
            voigt = [rational(stiffness(solid, d, "solid")) for solid in solids]
            exact = layered(voigt, list(rational(share)), strain_of(normal, d))
            formula = laminate_stiffness(solids, share, np.eye(d)[normal])
            assert np.abs(exact.astype(float) - formula).max() < 1e-13


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_exact_tensor_is_never_outside(kind):
    """Contrasts to 1e12, layers of a thousandth, units from 1e-9 to 1e9, loose and sharp solves."""
    trials = [random_trial(np.random.default_rng([7, number]), [kind]) for number in range(NUMBERS[kind])]
    faults = [f"{trial.fault}: {trial.what}" for trial in trials if trial.fault]
    assert not faults
    solved = [trial for trial in trials if trial.tensor is not None]
    assert len(solved) >= len(trials) // 2
    if kind != "windows":  # which have an upper bound at the most
        # What a flow adds is no piecewise polynomial of the degree of the elements.
        small = 0.05 if kind == "dispersion" else 1e-6
        assert np.median([trial.tensor.relative_gap for trial in solved]) < small


def case_attack(comm, numbers):
    faults = []
    for number in numbers:
        kind = ["diffusion", "membranes", "elasticity", "windows"][number % 4]
        trial = random_trial(np.random.default_rng([11, number]), [kind], comm)
        faults += [f"{trial.fault}: {trial.what}"] if trial.fault else []
    return {"faults": comm.bcast(faults, root=0), "ranks": comm.size}


def test_on_ranks(on_ranks):
    here = case_attack(MPI.COMM_SELF, list(range(4)))
    for found in (here, *on_ranks(case_attack, ranks=(2, 3), numbers=list(range(4)))):
        assert found["faults"] == []
