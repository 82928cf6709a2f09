# mypy: disallow-untyped-defs=False
"""The loops over voxels, compiled: sums, and trilinear elements. Imported where they are used.

All arrays have three axes; a plane image has one voxel along the first. Indices wrap around. Fields are scaled by the
volume of a voxel: operators are those of the energy per volume times the number of voxels.
"""

from __future__ import annotations

import numba
import numpy as np

_OPTIONS = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
_parallel = numba.njit(parallel=True, **_OPTIONS)
#: Sums whose order is kept: the constant must leave the numbers of an element before they are squared.
_in_order = numba.njit(parallel=True, cache=True, error_model="numpy")
_serial = numba.njit(**_OPTIONS)
_inline = numba.njit(inline="always", **_OPTIONS)
prange = numba.prange


@_parallel
def dot(a, b):
    """Return the scalar product of two flat arrays."""
    total = 0.0
    for i in prange(a.size):
        total += a[i] * b[i]
    return total


@_parallel
def take_step(x, p, r, q, step):
    """Do ``x += step p`` and ``r -= step q``."""
    for i in prange(x.size):
        x[i] += step * p[i]
        r[i] -= step * q[i]


@_parallel
def turn(p, z, factor):
    """Do ``p = z + factor p``."""
    for i in prange(p.size):
        p[i] = z[i] + factor * p[i]


# ---- trilinear elements ----------------------------------------------------------------------------------------------


@_inline
def _at_node(c, u, k, low, mid, high):
    """The row of a node: each neighbour counts with the coefficients of the voxels that it shares with the node.

    ``u`` are the nine lines of nodes around it, ``k`` the four lines of voxels.
    """
    u00, u01, u02, u10, u11, u12, u20, u21, u22 = u
    k00, k01, k10, k11 = k
    k0, k1, k2, k3 = k00[low], k00[mid], k01[low], k01[mid]
    k4, k5, k6, k7 = k10[low], k10[mid], k11[low], k11[mid]
    s0, s1, s2, s3 = k0 + k1, k2 + k3, k4 + k5, k6 + k7
    row = c[7] * (
        k0 * u00[low] + k1 * u00[high] + k2 * u02[low] + k3 * u02[high]
        + k4 * u20[low] + k5 * u20[high] + k6 * u22[low] + k7 * u22[high]
    )  # fmt: skip
    row += c[6] * (s0 * u00[mid] + s1 * u02[mid] + s2 * u20[mid] + s3 * u22[mid])
    row += c[3] * ((k0 + k4) * u10[low] + (k1 + k5) * u10[high] + (k2 + k6) * u12[low] + (k3 + k7) * u12[high])
    row += c[5] * ((k0 + k2) * u01[low] + (k1 + k3) * u01[high] + (k4 + k6) * u21[low] + (k5 + k7) * u21[high])
    row += c[4] * ((s0 + s1) * u01[mid] + (s2 + s3) * u21[mid])
    row += c[2] * ((s0 + s2) * u10[mid] + (s1 + s3) * u12[mid])
    row += c[1] * ((k0 + k2 + k4 + k6) * u11[low] + (k1 + k3 + k5 + k7) * u11[high])
    row += c[0] * (s0 + s1 + s2 + s3) * u11[mid]
    return row


@_parallel
def stiffness_product(c, k, u, out):
    """Trilinear stiffness for an isotropic coefficient ``k``, one number per voxel.

    ``c[4 i + 2 j + k]`` is the entry of the element matrix of the unit coefficient for two corners that differ along
    the axes whose bit is set. Node (i, j, k) is the lowest corner of voxel (i, j, k).
    """
    n0, n1, n2 = u.shape
    last = n2 - 1
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        im, ip = (i - 1) % n0, (i + 1) % n0
        jm, jp = (j - 1) % n1, (j + 1) % n1
        lines = (u[im, jm], u[im, j], u[im, jp], u[i, jm], u[i, j], u[i, jp], u[ip, jm], u[ip, j], u[ip, jp])
        voxels = (k[im, jm], k[im, j], k[i, jm], k[i, j])
        o = out[i, j]
        for m in range(1, last):
            o[m] = _at_node(c, lines, voxels, m - 1, m, m + 1)
        for m in (0, last):
            low = m - 1 if m else last
            high = m + 1 if m < last else 0
            o[m] = _at_node(c, lines, voxels, low, m, high)


@_parallel
def stiffness_product_table(table, phase, u, out):
    """Trilinear stiffness with the element matrix ``table[phase]`` (8, 8); corner ``4 i + 2 j + k``."""
    n0, n1, n2 = u.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        for m in range(n2):
            total = 0.0
            for voxel in range(8):
                a = (i - (voxel >> 2)) % n0
                b = (j - (voxel >> 1 & 1)) % n1
                c = (m - (voxel & 1)) % n2
                element = table[phase[a, b, c], voxel]
                a1, b1, c1 = (a + 1) % n0, (b + 1) % n1, (c + 1) % n2
                total += element[0] * u[a, b, c] + element[1] * u[a, b, c1]
                total += element[2] * u[a, b1, c] + element[3] * u[a, b1, c1]
                total += element[4] * u[a1, b, c] + element[5] * u[a1, b, c1]
                total += element[6] * u[a1, b1, c] + element[7] * u[a1, b1, c1]
            out[i, j, m] = total


@_parallel
def load_nodes(table, phase, out):
    """Nodal loads: ``table[phase]`` (8,) is the load of the corners of a voxel."""
    n0, n1, n2 = out.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        for m in range(n2):
            total = 0.0
            for voxel in range(8):
                a = (i - (voxel >> 2)) % n0
                b = (j - (voxel >> 1 & 1)) % n1
                c = (m - (voxel & 1)) % n2
                total += table[phase[a, b, c], voxel]
            out[i, j, m] = total


@_in_order
def energies(table, phase, fields, traces, out):
    """Energies of pairs of fields on each line of voxels, ``out[line, i, j]`` for j <= i; the caller adds them up.

    ``fields`` (m, n0, n1, n2) are values at nodes, ``traces`` (m, 8) what is added at the corners of every voxel. The
    mean of each voxel is taken out first: ``table[phase]`` (8, 8) does not feel it, but the digits do.
    """
    m, n0, n1, n2 = fields.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        i1, j1 = (i + 1) % n0, (j + 1) % n1
        local, image = np.empty((m, 8)), np.empty(8)
        for k in range(n2):
            element, k1 = table[phase[i, j, k]], (k + 1) % n2
            for f in range(m):
                u, mean = fields[f], 0.0
                for corner in range(8):
                    a = i1 if corner >> 2 else i
                    b = j1 if corner >> 1 & 1 else j
                    c = k1 if corner & 1 else k
                    local[f, corner] = u[a, b, c] + traces[f, corner]
                    mean += local[f, corner]
                for corner in range(8):
                    local[f, corner] -= 0.125 * mean
            for f in range(m):
                for a in range(8):
                    image[a] = 0.0
                    for b in range(8):
                        image[a] += element[a, b] * local[f, b]
                for g in range(f + 1):
                    for a in range(8):
                        out[line, f, g] += image[a] * local[g, a]


@_serial
def add_elements(table, phase, corners, u, out):
    """Add the stiffness of single voxels whose corners have the unknowns ``corners`` (m, 8), on flat arrays."""
    for e in range(len(phase)):
        element = table[phase[e]]
        for a in range(8):
            total = 0.0
            for b in range(8):
                total += element[a, b] * u[corners[e, b]]
            out[corners[e, a]] += total


@_serial
def add_loads(table, phase, corners, out):
    """Add the loads of single voxels, on a flat array."""
    for e in range(len(phase)):
        for a in range(8):
            out[corners[e, a]] += table[phase[e], a]


@_inline
def _around(inside, i, j, m):
    """Eight bits: which voxels around node (i, j, m) are inside; voxel ``4 a + 2 b + c`` is on the upper side of a."""
    n0, n1, n2 = inside.shape
    bits = 0
    for voxel in range(8):
        if inside[(i - 1 + (voxel >> 2)) % n0, (j - 1 + (voxel >> 1 & 1)) % n1, (m - 1 + (voxel & 1)) % n2]:
            bits |= 1 << voxel
    return bits


@_parallel
def count_copies(inside, groups, out):
    """For each node the number of groups beyond the first into which the voxels around it fall."""
    n0, n1, n2 = inside.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        for m in range(n2):
            number = 0
            bits = _around(inside, i, j, m)
            for voxel in range(8):
                number = max(number, groups[bits, voxel])
            out[i, j, m] = number


@_parallel
def number_corners(voxels, inside, groups, first, out):
    """Unknowns of the corners of the given voxels (flat numbers); group g > 0 of a node has ``first[node] + g - 1``."""
    n0, n1, n2 = inside.shape
    for e in prange(len(voxels)):
        i, rest = voxels[e] // (n1 * n2), voxels[e] % (n1 * n2)
        j, m = rest // n2, rest % n2
        for corner in range(8):
            a = (i + (corner >> 2)) % n0
            b = (j + (corner >> 1 & 1)) % n1
            c = (m + (corner & 1)) % n2
            # Seen from its upper corner a voxel is on the lower side.
            group = groups[_around(inside, a, b, c), 7 - corner]
            node = (a * n1 + b) * n2 + c
            out[e, corner] = node if group == 0 else first[node] + group - 1
