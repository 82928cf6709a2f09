"""What moved surfaces change in transport: the estimates against derivatives of exact solutions.

A surface that is flat is told that it stands for one which is moved by a small step. What is estimated is then the step
times the derivative of the tensor, which layers have in closed form.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from mpi4py import MPI

from homfem import UnitCell
from homfem.certify import homogenize_reaction
from homfem.certify.dispersion import GivenFlow, StokesFlow, homogenize_dispersion
from homfem.certify.reaction.geometry import rate_error
from homfem.local.reaction import Reacting, surfaces_of
from homfem.local.spectral import solve_spectrum
from made_cells import grid_raw, with_named_facets

STEP = 1e-5


def moved(raw, place, first=0, arcs=None) -> UnitCell:
    """The cell whose facets at a place stand for a surface moved out of its first or second phase, or for arcs."""
    named = with_named_facets(raw, "moved", place)
    edges = named.points[named.facets]
    length, slivers = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1), np.zeros((len(edges), 2))
    slivers[:, first] = STEP * length
    if arcs is not None:  # a parabola with half of its volume on each side of its mean
        slivers[:] = (length**3 / (8.0 * arcs) * 2.0 / (9.0 * math.sqrt(3.0)))[:, None]
    return UnitCell.from_raw(replace(named, slivers=slivers), comm=MPI.COMM_WORLD)


# Dispersion ----------------------------------------------------------------------------------------------------------

HALF, TOP = 0.25, 0.5


def slit_raw(n=16):
    return grid_raw((3, n), lambda s: (np.abs(s[:, 1] - 0.5) > HALF).astype(int))


def flow_of(speed):
    """A parabola between walls without slip."""

    def velocity(x):
        return np.stack([speed * (1.0 - ((x[1] - 0.5) / HALF) ** 2), 0.0 * x[0]])

    return velocity


def layered(half, speed, still=None, share=1.0, kept=0.0):
    """Both values of a parabola of flow between walls at ``half``, at rest from HALF on, and layers beyond or none."""
    y, end = np.polynomial.Polynomial([0.0, 1.0]), half if still is None else TOP
    passed = speed * (y - y**3 / (3.0 * HALF**2))
    held = half + share * (end - half) + kept
    mean = passed(HALF) / held
    along = 0.0
    pieces = [(0.0, HALF, passed - mean * y, 1.0), (HALF, half, passed(HALF) - mean * y, 1.0)]
    if still is not None:
        pieces.append((half, TOP, share * mean * (TOP - y), share * still))
    for start, stop, flux, diffusivity in pieces:
        energy = (diffusivity + flux**2 / diffusivity).integ()
        along += energy(stop) - energy(start)
    across = 0.0 if still is None else TOP**2 / (half + (TOP - half) / (share * still))
    return np.array([along, across]) / held


def slopes(speed, **layers):
    """The derivatives by the place of the wall."""
    size = 1e-4
    one, two, four = (layered(HALF + k * size, speed, **layers) for k in (0, 1, 2))
    return (4.0 * two - 3.0 * one - four) / (2.0 * size)


@pytest.mark.parametrize("speed", [5.0, 60.0])
def test_a_slit_that_is_wider(speed):
    """What the tensor loses by the fluid that rests, and with the flow that its own width gives."""
    cell = moved(slit_raw(64), lambda x: np.abs(x[:, 1] - 0.5) < 0.3)
    given = homogenize_dispersion(cell, {"a": 1.0}, flow=GivenFlow(velocity=flow_of(speed)), bounds=True)
    assert given.value[0, 0] == pytest.approx(layered(HALF, speed)[0], rel=1e-3)
    frozen = abs(slopes(speed)[0])
    assert given.geometric_error == pytest.approx(STEP * frozen, rel=1.5e-2)
    stokes = homogenize_dispersion(cell, {"a": 1.0}, flow=StokesFlow(fluid="a"), peclet=2.0 * speed / 3.0, bounds=True)
    assert stokes.value[0, 0] == pytest.approx(given.value[0, 0], rel=1e-4)
    # The permeability goes with the third power of the width; all but 1 is what the flow adds.
    pulled = 2.0 * (3.0 / HALF) * (given.value[0, 0] - 1.0)
    assert stokes.geometric_error == pytest.approx(STEP * (frozen + pulled), rel=1e-2)


@pytest.mark.parametrize(("speed", "kept"), [(5.0, 1.0), (60.0, 0.2)])
def test_a_wider_slit_with_walls_that_hold_some(speed, kept):
    """Along the walls, a flux goes into them that is farther from the middle."""
    cell = moved(slit_raw(64), lambda x: np.abs(x[:, 1] - 0.5) < 0.3)
    flow = GivenFlow(velocity=flow_of(speed))
    tensor = homogenize_dispersion(cell, {"a": 1.0}, flow=flow, sorption_length=kept, bounds=True)
    exact, slope = layered(HALF, speed, kept=kept)[0], slopes(speed, kept=kept)[0]
    assert tensor.value[0, 0] == pytest.approx(exact, rel=1e-3)
    assert tensor.geometric_error == pytest.approx(STEP * abs(slope), rel=5e-2)


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_walls_that_are_longer_than_what_they_stand_for_hold_more(kept):
    """Nothing flows: D* is one over the retardation; chords are longer than arcs around the same area by l^2/24r^2."""
    n, radius = 8, 5.0
    cell = moved(slit_raw(n), lambda x: np.abs(x[:, 1] - 0.5) < 0.3, arcs=radius)
    tensor = homogenize_dispersion(
        cell, {"a": 1.0}, flow=GivenFlow(velocity=flow_of(0.0)), sorption_length=kept, bounds=True
    )
    exact = HALF / (HALF + kept)
    assert tensor.value[0, 0] == pytest.approx(exact, rel=1e-9)
    length = 1.0 / 3.0
    excess = length**2 / (24.0 * radius**2)
    bulge = 4.0 / (9.0 * math.sqrt(3.0)) * length**2 / (8.0 * radius)  # mean of |V| of a parabola around its mean
    waves = 8.0 * bulge**2 / length * (1.0 - exact)
    assert tensor.geometric_error == pytest.approx((waves + excess * kept * exact) / (HALF + kept), rel=0.05)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("speed", "still", "share"), [(60.0, 1.0, 2.0), (20.0, 0.3, 2.0), (60.0, 3.0, 0.2)])
def test_layers_that_carry_and_do_not_flow(speed, still, share, side):
    """The capacities, the diffusivities and what is carried all differ on both sides."""
    cell = moved(slit_raw(32), lambda x: np.abs(x[:, 1] - 0.5) < 0.3, side)
    tensor = homogenize_dispersion(
        cell,
        {"a": 1.0, "b": still},
        flow=GivenFlow(fluid="a", velocity=flow_of(speed)),
        partition={"b": share},
        bounds=True,
    )
    exact = layered(HALF, speed, still=still, share=share)
    assert np.diag(tensor.value) == pytest.approx(exact, rel=1e-3)
    relative = np.abs(slopes(speed, still=still, share=share) / exact).max()
    assert tensor.geometric_error == pytest.approx(STEP * relative * exact.min(), rel=2.5e-2)


# Reaction ------------------------------------------------------------------------------------------------------------


def test_a_surface_where_much_is_left():
    """Across the layers nothing changes where the surface is moved: the rate stays, the tensor along them does not.

    It is weighted by the square of what is left, which is largest there. A void parts the layer that reacts in two.
    """
    rate, edges = 200.0, np.array([0.25, 0.375, 0.75, 1.125]) / 1.25
    raw = grid_raw(
        (3, 40),
        lambda s: np.array([0, 1, 2, 3, 1])[np.digitize(s[:, 1], edges)],
        names=("void", "sink", "fast", "slow"),
        vectors=np.diag([1.0, 1.25]),
    )
    cell = moved(raw, lambda x: np.abs(x[:, 1] - 0.75) < 1e-9)
    fast = {"sink": np.eye(2), "fast": np.diag([4.0, 1.0]), "slow": np.eye(2)}
    tensor = homogenize_reaction(cell, fast, rates={"sink": rate}, degree=3, bounds=False)

    def balance(q):
        kappa = math.sqrt(rate - q * q)
        return q * math.sin(0.375 * q) - kappa * math.tanh(0.125 * kappa) * math.cos(0.375 * q)

    q = scipy.optimize.brentq(balance, 0.1, 0.5 * math.pi / 0.375)
    kappa = math.sqrt(rate - q * q)
    assert tensor.coefficients["rate"].value == pytest.approx(q * q, rel=1e-5)
    free = 0.375 + math.sin(0.75 * q) / (2.0 * q)
    size = math.cos(0.375 * q) / math.cosh(0.125 * kappa)
    held = size**2 * (0.125 + math.sinh(0.25 * kappa) / (2.0 * kappa))
    assert tensor.value[0, 0] == pytest.approx((4.0 * free / 2.0 + free / 2.0 + held) / (free + held), rel=1e-5)
    assert tensor.geometric_error == pytest.approx(STEP * 3.0 / (free + held), rel=1e-2)


def tangent(square, half):
    """q tan(q h) of its square, which may be negative."""
    root = math.sqrt(abs(square))
    return root * math.tan(root * half) if square > 0.0 else -root * math.tanh(root * half)


def decay(half, layer, beyond=None, rate=0.0, kept=0.0):
    """The slowest decay of a layer of a half-width, with a reacting surface, and of the layer beyond it or none.

    A layer is its diffusivity, rate and capacity. The flux that comes from both sides is what the surface takes.
    """

    def missing(value):
        taken = kept * value - rate
        for width, (diffusivity, own, capacity) in ((half, layer), (TOP - half, beyond or (1.0, 0.0, 0.0))):
            taken += diffusivity * tangent((value * capacity - own) / diffusivity, width)
        return taken

    poles = [
        one[1] / one[2] + one[0] / one[2] * (0.5 * math.pi / width) ** 2
        for width, one in ((half, layer), (TOP - half, beyond))
        if one
    ]
    return scipy.optimize.brentq(missing, 1e-9, min(poles) * (1.0 - 1e-9), xtol=1e-14)


def medium_of(cell, layers, surface, rate=0.0, kept=0.0, absorbing=False):
    """What reacts in the phases a and b."""
    fields = [cell.cell_function({name: layers[name][k] for name in cell.phase_names}) for k in range(3)]
    surfaces = None if absorbing else surfaces_of(cell, {surface: rate}, {surface: kept})
    return Reacting(
        cell=cell, diffusivity=fields[0], rate=fields[1], capacity=fields[2], surfaces=surfaces, absorbing=absorbing
    )


def estimated(medium):
    """The decay and the estimate of its change, both absolute."""
    spectrum = solve_spectrum(medium.cell, medium.problem(3))
    return spectrum.value, rate_error(medium, spectrum) * spectrum.value


def close(place):
    return np.abs(place[:, 1] - 0.5) < 0.3


@pytest.mark.parametrize(("rate", "kept", "capacity"), [(8.0, 0.0, 1.0), (2.0, 0.3, 2.0), (50.0, 0.1, 0.5)])
def test_the_decay_between_walls_that_react(rate, kept, capacity):
    layer, size = (1.0, 0.7, capacity), 1e-5
    cell = moved(slit_raw(64), close).restrict(["a"])
    value, error = estimated(medium_of(cell, {"a": layer}, "walls", rate, kept))
    assert value == pytest.approx(decay(HALF, layer, None, rate, kept), rel=1e-5)
    slope = (decay(HALF + size, layer, None, rate, kept) - decay(HALF - size, layer, None, rate, kept)) / (2.0 * size)
    assert error == pytest.approx(STEP * abs(slope), rel=5e-2)


def test_the_decay_between_walls_that_take_all():
    cell = moved(slit_raw(64), close).restrict(["a"])
    value, error = estimated(medium_of(cell, {"a": (1.0, 0.0, 1.0)}, "walls", absorbing=True))
    assert value == pytest.approx((0.5 * math.pi / HALF) ** 2, rel=1e-5)
    assert error == pytest.approx(STEP * 2.0 * value / HALF, rel=2e-2)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("first", "second", "rate", "kept"),
    [
        ((1.0, 30.0, 1.0), (0.2, 0.0, 3.0), 0.0, 0.0),
        ((1.0, 0.0, 1.0), (0.2, 0.0, 3.0), 4.0, 0.0),
        ((1.0, 5.0, 0.5), (3.0, 40.0, 2.0), 4.0, 0.2),
    ],
)
def test_the_decay_of_layers_that_meet_in_a_reaction(first, second, rate, kept, side):
    cell, size = moved(slit_raw(64), close, side), 1e-5
    layers = {"a": first, "b": second}
    value, error = estimated(medium_of(cell, layers, "moved", rate, kept))
    assert value == pytest.approx(decay(HALF, first, second, rate, kept), rel=1e-5)
    ahead, back = (decay(HALF + step, first, second, rate, kept) for step in (size, -size))
    assert error == pytest.approx(STEP * abs(ahead - back) / (2.0 * size), rel=5e-2)
