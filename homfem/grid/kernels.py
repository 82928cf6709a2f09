"""The loops over voxels, compiled: trilinear elements, line solves for fluxes, sums. Imported where they are used.

All arrays have three axes; a plane image has one voxel along the first. Indices wrap around. Fields are scaled by the
volume of a voxel: operators are those of the energy per volume times the number of voxels.
"""

from __future__ import annotations

import numba
import numpy as np

_OPTIONS = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
_parallel = numba.njit(parallel=True, **_OPTIONS)
_serial = numba.njit(**_OPTIONS)
_inline = numba.njit(inline="always", **_OPTIONS)
prange = numba.prange

#: Number of faces that a line solve runs ahead before its result counts: a face forgets its neighbours at a factor of
#: two per face at the least (see :func:`_line_rows`).
AHEAD = 48


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
def _at_node(c, u00, u01, u02, u10, u11, u12, u20, u21, u22, k00, k01, k10, k11, low, mid, high):
    """The row of a node: each neighbour counts with the coefficients of the voxels that it shares with the node."""
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
        u00, u01, u02 = u[im, jm], u[im, j], u[im, jp]
        u10, u11, u12 = u[i, jm], u[i, j], u[i, jp]
        u20, u21, u22 = u[ip, jm], u[ip, j], u[ip, jp]
        k00, k01, k10, k11 = k[im, jm], k[im, j], k[i, jm], k[i, j]
        o = out[i, j]
        for m in range(1, last):
            o[m] = _at_node(c, u00, u01, u02, u10, u11, u12, u20, u21, u22, k00, k01, k10, k11, m - 1, m, m + 1)
        for m in (0, last):
            low = m - 1 if m else last
            high = m + 1 if m < last else 0
            o[m] = _at_node(c, u00, u01, u02, u10, u11, u12, u20, u21, u22, k00, k01, k10, k11, low, m, high)


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


# ---- fluxes through faces --------------------------------------------------------------------------------------------


@_inline
def _of_line(array, axis, other, f):
    return array[f, other] if axis == 0 else array[other, f]


@_serial
def _line_rows(r, p, scale, load, axis, other, out, as_flux):
    r"""Solve for the fluxes of all lines along axis 0 or 1 at position ``other`` of the axis that is not the last.

    Face f lies between voxels f - 1 and f. The rows are
    :math:`\frac{r_{f-1}}6\sigma_{f-1}+\frac{r_{f-1}+r_f}3\sigma_f+\frac{r_f}6\sigma_{f+1}=E-\frac{p_f-p_{f-1}}h`,
    without flux where a voxel insulates (``r == 0``). A line is periodic: elimination starts ``AHEAD`` faces early.
    The pivots are at least :math:`\frac{r_{f-1}}4+\frac{r_f}3`, so what is eliminated counts half or less at each face.
    """
    n, m = r.shape[axis], r.shape[2]
    ratios, values = np.empty((n, m)), np.empty((n, m))
    ratio, value = np.zeros(m), np.zeros(m)
    f = (-AHEAD) % n
    for _ in range(n + AHEAD):
        e = f - 1 if f else n - 1
        r0, r1 = _of_line(r, axis, other, e), _of_line(r, axis, other, f)
        p0, p1 = _of_line(p, axis, other, e), _of_line(p, axis, other, f)
        ratio_f, value_f = ratios[f], values[f]
        for k in range(m):
            a, b = r0[k], r1[k]
            inverse = 1.0 / ((a + b) / 3.0 - a / 6.0 * ratio[k])
            inverse = inverse if a * b > 0.0 else 0.0
            value[k] = (load - (p1[k] - p0[k]) * scale - a / 6.0 * value[k]) * inverse
            ratio[k] = b / 6.0 * inverse
            ratio_f[k], value_f[k] = ratio[k], value[k]
        f = f + 1 if f < n - 1 else 0
    f = (n - 1 + AHEAD) % n
    flux = np.zeros(m)
    for _ in range(AHEAD):
        ratio_f, value_f = ratios[f], values[f]
        for k in range(m):
            flux[k] = value_f[k] - ratio_f[k] * flux[k]
        f = f - 1 if f else n - 1
    for _ in range(n):
        ratio_f, value_f, target = ratios[f], values[f], _of_line(out, axis, other, f)
        if as_flux:
            for k in range(m):
                flux[k] = value_f[k] - ratio_f[k] * flux[k]
                target[k] = flux[k]
        else:
            for k in range(m):
                lower = value_f[k] - ratio_f[k] * flux[k]
                target[k] += (flux[k] - lower) * scale
                flux[k] = lower
        f = f - 1 if f else n - 1


@_serial
def _line_last(r, p, scale, load, out, as_flux):
    """The same for one line along the last axis; without ``as_flux`` it sets the divergence instead of adding it."""
    n = len(r)
    ratios, values = np.empty(n), np.empty(n)
    ratio = value = 0.0
    f = (-AHEAD) % n
    for _ in range(n + AHEAD):
        e = f - 1 if f else n - 1
        a, b = r[e], r[f]
        inverse = 1.0 / ((a + b) / 3.0 - a / 6.0 * ratio)
        inverse = inverse if a * b > 0.0 else 0.0
        value = (load - (p[f] - p[e]) * scale - a / 6.0 * value) * inverse
        ratio = b / 6.0 * inverse
        ratios[f], values[f] = ratio, value
        f = f + 1 if f < n - 1 else 0
    f = (n - 1 + AHEAD) % n
    flux = 0.0
    for _ in range(AHEAD):
        flux = values[f] - ratios[f] * flux
        f = f - 1 if f else n - 1
    for _ in range(n):
        lower = values[f] - ratios[f] * flux
        out[f] = lower if as_flux else (flux - lower) * scale
        flux = lower
        f = f - 1 if f else n - 1


@_parallel
def flux_divergence(r0, r1, r2, p, scale, load, out):
    """Divergence of the fluxes of a cell-wise potential ``p`` and a ``load``; ``r0`` ... are 1/D along each axis."""
    n0, n1, _ = p.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        _line_last(r2[i, j], p[i, j], scale[2], load[2], out[i, j], False)
    for j in prange(n1):
        _line_rows(r0, p, scale[0], load[0], 0, j, out, False)
    for i in prange(n0):
        _line_rows(r1, p, scale[1], load[1], 1, i, out, False)


@_parallel
def face_fluxes(r0, r1, r2, p, scale, load, out):
    """The fluxes themselves, ``out`` (3, n0, n1, n2): through the lower face of each voxel along each axis."""
    n0, n1, _ = p.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        _line_last(r2[i, j], p[i, j], scale[2], load[2], out[2, i, j], True)
    for j in prange(n1):
        _line_rows(r0, p, scale[0], load[0], 0, j, out[0], True)
    for i in prange(n0):
        _line_rows(r1, p, scale[1], load[1], 1, i, out[1], True)


@_parallel
def divergence(flux, scale, out):
    """Divergence of face fluxes (3, n0, n1, n2) in each voxel."""
    n0, n1, n2 = out.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        up, right = (i + 1) % n0, (j + 1) % n1
        for m in range(n2):
            next_m = m + 1 if m < n2 - 1 else 0
            out[i, j, m] = (
                (flux[0, up, j, m] - flux[0, i, j, m]) * scale[0]
                + (flux[1, i, right, m] - flux[1, i, j, m]) * scale[1]
                + (flux[2, i, j, next_m] - flux[2, i, j, m]) * scale[2]
            )


@_parallel
def subtract_gradient(q, scale, flux):
    """Do ``flux -= grad q`` on all faces for a cell-wise ``q``."""
    n0, n1, n2 = q.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        im, jm = (i - 1) % n0, (j - 1) % n1
        for m in range(n2):
            mm = m - 1 if m else n2 - 1
            flux[0, i, j, m] -= (q[i, j, m] - q[im, j, m]) * scale[0]
            flux[1, i, j, m] -= (q[i, j, m] - q[i, jm, m]) * scale[1]
            flux[2, i, j, m] -= (q[i, j, m] - q[i, j, mm]) * scale[2]


@_parallel
def flux_products(first, second, resistivity, phase):
    r"""Sum over voxels of :math:`\frac1{|v|}\int_v\sigma\cdot R\tau`, exactly, R = ``resistivity[phase]`` (3, 3).

    In a voxel :math:`\sigma_a=m_a+s_at`, :math:`t\in[-\frac12,\frac12]`: the integral is
    :math:`m\cdot Rm'+\sum_aR_{aa}s_as_a'/12`.
    """
    _, n0, n1, n2 = first.shape
    total = 0.0
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        up, right = (i + 1) % n0, (j + 1) % n1
        part = 0.0
        for k in range(n2):
            next_k = k + 1 if k < n2 - 1 else 0
            R = resistivity[phase[i, j, k]]
            a0, a1 = first[0, i, j, k], first[0, up, j, k]
            b0, b1 = first[1, i, j, k], first[1, i, right, k]
            c0, c1 = first[2, i, j, k], first[2, i, j, next_k]
            d0, d1 = second[0, i, j, k], second[0, up, j, k]
            e0, e1 = second[1, i, j, k], second[1, i, right, k]
            f0, f1 = second[2, i, j, k], second[2, i, j, next_k]
            x, y, z = 0.5 * (a0 + a1), 0.5 * (b0 + b1), 0.5 * (c0 + c1)
            u, v, w = 0.5 * (d0 + d1), 0.5 * (e0 + e1), 0.5 * (f0 + f1)
            part += x * (R[0, 0] * u + R[0, 1] * v + R[0, 2] * w) + y * (R[1, 0] * u + R[1, 1] * v + R[1, 2] * w)
            part += z * (R[2, 0] * u + R[2, 1] * v + R[2, 2] * w)
            part += R[0, 0] / 12.0 * (a1 - a0) * (d1 - d0) + R[1, 1] / 12.0 * (b1 - b0) * (e1 - e0)
            part += R[2, 2] / 12.0 * (c1 - c0) * (f1 - f0)
        total += part
    return total


# ---- a spanning tree of the conducting voxels ------------------------------------------------------------------------


@_inline
def _neighbour(v, side, n0, n1, n2):
    i, rest = v // (n1 * n2), v % (n1 * n2)
    j, k = rest // n2, rest % n2
    if side == 0:
        i = i - 1 if i else n0 - 1
    elif side == 1:
        i = i + 1 if i < n0 - 1 else 0
    elif side == 2:
        j = j - 1 if j else n1 - 1
    elif side == 3:
        j = j + 1 if j < n1 - 1 else 0
    elif side == 4:
        k = k - 1 if k else n2 - 1
    else:
        k = k + 1 if k < n2 - 1 else 0
    return (i * n1 + j) * n2 + k


@_serial
def spanning_forest(inside, order, side):
    """Breadth first over shared faces: ``order`` lists the voxels inside, parents first; ``side`` tells their parent.

    ``side`` is the number of the face (lower and upper along each axis: 0 ... 5) towards the parent, 6 for a root and
    7 outside. Returns the number of voxels listed.
    """
    n0, n1, n2 = inside.shape
    flat = inside.ravel()
    side[:] = 7
    head = tail = 0
    for root in range(flat.size):
        if not flat[root] or side[root] != 7:
            continue
        side[root] = 6
        order[tail] = root
        tail += 1
        while head < tail:
            v = order[head]
            head += 1
            for s in range(6):
                w = _neighbour(v, s, n0, n1, n2)
                if flat[w] and side[w] == 7:
                    side[w] = s ^ 1
                    order[tail] = w
                    tail += 1
    return tail


@_serial
def drain(excess, order, side, scale, flux):
    """Lead the ``excess`` divergence of each voxel to its root along the forest, and subtract it from ``flux``.

    ``excess`` is overwritten; ``flux`` (3, n0, n1, n2). Afterwards only the roots have a divergence: what is left of
    the sum over their part, which vanishes up to round-off.
    """
    _, n0, n1, n2 = flux.shape
    source = excess.ravel()
    for position in range(len(order) - 1, -1, -1):
        v = order[position]
        s = side[v]
        if s == 6:
            continue
        parent = _neighbour(v, s, n0, n1, n2)
        axis = s >> 1
        face = parent if s & 1 else v  # the lower face of the upper of the two voxels
        amount = source[v]
        source[parent] += amount
        change = amount / scale[axis]
        i, rest = face // (n1 * n2), face % (n1 * n2)
        flux[axis, i, rest // n2, rest % n2] += -change if s & 1 else change


@_serial
def drained_energy(excess, order, side, scale, r0, r1, r2):
    """Upper bound of the energy of the fluxes that :func:`drain` subtracts; ``excess`` is overwritten."""
    n0, n1, n2 = excess.shape
    source, flat0, flat1, flat2 = excess.ravel(), r0.ravel(), r1.ravel(), r2.ravel()
    total = 0.0
    for position in range(len(order) - 1, -1, -1):
        v = order[position]
        s = side[v]
        if s == 6:
            continue
        parent = _neighbour(v, s, n0, n1, n2)
        axis = s >> 1
        resistance = flat0[v] + flat0[parent] if axis == 0 else (
            flat1[v] + flat1[parent] if axis == 1 else flat2[v] + flat2[parent])  # fmt: skip
        source[parent] += source[v]
        total += 0.5 * resistance * (source[v] / scale[axis]) ** 2
    return total
