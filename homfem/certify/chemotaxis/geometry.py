r"""What straight facets on curved surfaces may change in an effective sensitivity: an estimate.

With the fields of :mod:`homfem.certify.chemotaxis.sides`, :math:`P=e_i+\nabla\chi^n_i`,
:math:`Q=e_j+\nabla\chi^c_j`, and those that they drive,
:math:`\int D_n\nabla\omega_j\cdot\nabla v=\int SQ_j\cdot\nabla v`,
:math:`\int D_c\nabla\vartheta_i\cdot\nabla v=\int S^TP_i\cdot\nabla v`, the sensitivity is the stationary value of

.. math:: S^*_{ij}=\langle\ell\rangle,\qquad
          \ell=P\cdot SQ-D_nP\cdot\nabla\omega_j-D_cQ\cdot\nabla\vartheta_i ,

and a surface that moves by V along its normal n, out of phase 1, changes it by

.. math:: \delta S^*_{ij}=\frac1{|Y|}\int_\Gamma V\bigl[\ell-r_nP_n-s_nQ_n+(D_nP)_n\partial_n\omega
          +(D_cQ)_n\partial_n\vartheta\bigr]_2^1 ,\qquad r=SQ-D_n\nabla\omega ,\quad s=S^TP-D_c\nabla\vartheta ,

where tangential gradients and the normal components of :math:`D_nP`, :math:`D_cQ`, r and s are continuous. What V is of
straight facets, and how it is summed, is in :mod:`homfem.certify.geometry`.

Source: the shape derivative, e.g. Sokolowski, Zolesio 1992, doi 10.1007/978-3-642-58106-9.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from homfem.certify.chemotaxis.halves import Half
from homfem.certify.geometry import Indices, change_of_tensor, curved_facets, facet_normals
from homfem.local.means import gradients_of
from homfem.parameters import Array


def geometric_error(moving: Half, spreading: Half) -> float:
    """Return the estimate in the unit of the sensitivity; collective."""
    cell = moving.own.cell
    facets, volumes, first, second = curved_facets(cell)
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    change = changes_at_facets(moving, spreading, (facets, first, second))
    d = cell.dimension
    # A matrix that is not symmetric, as a block of one that is.
    block = np.zeros((len(facets), 2 * d, 2 * d))
    block[:, :d, d:], block[:, d:, :d] = change, change.transpose(0, 2, 1)
    return change_of_tensor(cell, moving.upper.problem, facets, volumes, block)


def changes_at_facets(moving: Half, spreading: Half, at: tuple[Indices, Indices, Indices]) -> Array:
    """Return what S* changes for each volume that the first cell's side of a facet gains, shape (n, d, d).

    Parameters
    ----------
    moving, spreading
        Solved on one mesh.
    at
        The facets, and the mesh cells on both sides of each (:func:`homfem.certify.geometry.curved_facets`).
    """
    facets, first, second = at
    cell, d = moving.own.cell, moving.dimension
    normal = facet_normals(cell, facets, first)
    sensitivity = moving.own.sensitivity.x.array.reshape(-1, d, d)
    fields = []
    for half in (moving, spreading):
        gradients = gradients_of(cell, half.upper.functions)[:, :, 0]
        gradients[:, :d] += np.eye(d)
        fields.append(gradients)
    # Of cells P and the gradients of omega, of the attractant Q and those of theta; normal fluxes of each.
    drives = [np.einsum("mab,mjb->mja", sensitivity, fields[1][:, :d]),
              np.einsum("mba,mib->mia", sensitivity, fields[0][:, :d])]  # fmt: skip
    known = [
        _continuous(half.own.matrices, gradients, drive, normal, (first, second))
        for half, gradients, drive in zip((moving, spreading), fields, drives, strict=True)
    ]
    sides = []
    for c in (first, second):
        matrices = [half.own.matrices[c] for half in (moving, spreading)]
        sides.append(_density(known, matrices, sensitivity[c], normal))
    sides[1][first == second] = 0.0
    return np.asarray(sides[0] - sides[1])


def _continuous(
    matrices: Array, gradients: Array, drive: Array, normal: Array, sides: tuple[Indices, Indices]
) -> tuple[Array, Array]:
    """Tangential gradients (n, 2 d, d) and normal fluxes (n, 2 d) at facets: means of both sides, walls closed."""
    d = matrices.shape[1]
    total, through, count = np.zeros((len(normal), 2 * d, d)), np.zeros((len(normal), 2 * d)), np.zeros(len(normal))
    for c in sides:
        on = matrices[c, 0, 0] > 0.0
        flux = np.einsum("fij,flj->fli", matrices[c], gradients[c])
        flux[:, d:] = drive[c] - flux[:, d:]
        total += on[:, None, None] * gradients[c]
        through += on[:, None] * np.einsum("fli,fi->fl", flux, normal)
        count += on
    through[(sides[0] == sides[1]) | (count < 2.0)] = 0.0  # a wall
    share = np.maximum(count, 1.0)
    mean = total / share[:, None, None]
    return mean - np.einsum("fli,fi,fj->flj", mean, normal, normal), through / share[:, None]


def _density(known: list[tuple[Array, Array]], matrices: list[Array], sensitivity: Array, normal: Array) -> Array:
    """What is in the brackets on one side, shape (n, d, d)."""
    d = normal.shape[1]
    whole: list[Array] = []
    for (tangential, through), matrix in zip(known, matrices, strict=True):
        across = np.einsum("fi,fij,fj->f", normal, matrix, normal)
        own = np.einsum("fi,fij,flj->fl", normal, matrix, tangential[:, :d])
        gradient = np.zeros_like(tangential)
        gradient[:, :d] = _with_normal(tangential[:, :d], through[:, :d] - own, across, normal)
        whole.append(gradient)
    driven = (np.einsum("fab,fjb->fja", sensitivity, whole[1][:, :d]),
              np.einsum("fba,fib->fia", sensitivity, whole[0][:, :d]))  # fmt: skip
    for gradient, (tangential, through), matrix, drive in zip(whole, known, matrices, driven, strict=True):
        across = np.einsum("fi,fij,fj->f", normal, matrix, normal)
        own = np.einsum("fi,fij,flj->fl", normal, matrix, tangential[:, d:])
        missing = np.einsum("fli,fi->fl", drive, normal) - own - through[:, d:]
        gradient[:, d:] = _with_normal(tangential[:, d:], missing, across, normal)
    (p, omega), (q, theta) = ((gradient[:, :d], gradient[:, d:]) for gradient in whole)
    density = np.einsum("fia,fab,fjb->fij", p, sensitivity, q)
    density -= np.einsum("fia,fab,fjb->fij", p, matrices[0], omega)
    density -= np.einsum("fia,fab,fjb->fij", theta, matrices[1], q)
    p_n, omega_n, q_n, theta_n = (np.einsum("fli,fi->fl", one, normal) for one in (p, omega, q, theta))
    (_, moved), (_, spread) = known
    density -= p_n[:, :, None] * moved[:, None, d:] + spread[:, d:, None] * q_n[:, None, :]
    density += moved[:, :d, None] * omega_n[:, None, :] + theta_n[:, :, None] * spread[:, None, :d]
    return density


def _with_normal(tangential: Array, flux: Array, across: Array, normal: Array) -> Array:
    """Gradients of given tangential parts whose normal parts give a flux; zero where nothing diffuses."""
    on = across > 0.0
    size = np.divide(flux, across[:, None], out=np.zeros_like(flux), where=on[:, None])
    return np.asarray(on[:, None, None] * (tangential + size[:, :, None] * normal[:, None, :]))
