# mypy: disallow-untyped-defs=False
"""The loops over faces, compiled: line solves, divergence, energies of fluxes, a spanning tree of voxels.

Imported where they are used. All arrays have three axes; a plane image has one voxel along the first. Indices wrap
around. Face (i, j, k) of an axis is the lower face of voxel (i, j, k).
"""

from __future__ import annotations

import numpy as np

from homfem.grid.kernels import _inline, _parallel, _serial, prange

#: Number of faces that a line solve runs ahead before its result counts: a face forgets its neighbours at a factor of
#: two per face at the least (see :func:`_line_rows`).
AHEAD = 48
#: Number of lines along the last axis that are solved abreast.
ABREAST = 16


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
    """The same for a few lines (m, n) along the last axis; without ``as_flux`` it sets the divergence, not adds it.

    The lines go abreast, because each step along a line waits for the one before.
    """
    m, n = r.shape
    ratios, values = np.empty((n, m)), np.empty((n, m))
    ratio, value = np.zeros(m), np.zeros(m)
    f = (-AHEAD) % n
    for _ in range(n + AHEAD):
        e = f - 1 if f else n - 1
        ratio_f, value_f = ratios[f], values[f]
        for k in range(m):
            a, b = r[k, e], r[k, f]
            inverse = 1.0 / ((a + b) / 3.0 - a / 6.0 * ratio[k])
            inverse = inverse if a * b > 0.0 else 0.0
            value[k] = (load - (p[k, f] - p[k, e]) * scale - a / 6.0 * value[k]) * inverse
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
        ratio_f, value_f = ratios[f], values[f]
        for k in range(m):
            lower = value_f[k] - ratio_f[k] * flux[k]
            out[k, f] = lower if as_flux else (flux[k] - lower) * scale
            flux[k] = lower
        f = f - 1 if f else n - 1


@_parallel
def flux_divergence(r0, r1, r2, p, scale, load, out):
    """Divergence of the fluxes of a cell-wise potential ``p`` and a ``load``; ``r0`` ... are 1/D along each axis."""
    n0, n1, _ = p.shape
    blocks = (n1 + ABREAST - 1) // ABREAST
    for block in prange(n0 * blocks):
        i, j = block // blocks, block % blocks * ABREAST
        k = min(j + ABREAST, n1)
        _line_last(r2[i, j:k], p[i, j:k], scale[2], load[2], out[i, j:k], False)
    for j in prange(n1):
        _line_rows(r0, p, scale[0], load[0], 0, j, out, False)
    for i in prange(n0):
        _line_rows(r1, p, scale[1], load[1], 1, i, out, False)


@_parallel
def face_fluxes(r0, r1, r2, p, scale, load, out):
    """The fluxes themselves, ``out`` (3, n0, n1, n2): through the lower face of each voxel along each axis."""
    n0, n1, _ = p.shape
    blocks = (n1 + ABREAST - 1) // ABREAST
    for block in prange(n0 * blocks):
        i, j = block // blocks, block % blocks * ABREAST
        k = min(j + ABREAST, n1)
        _line_last(r2[i, j:k], p[i, j:k], scale[2], load[2], out[2, i, j:k], True)
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


# ---- fluxes in voxels of full tensors --------------------------------------------------------------------------------


@_inline
def _in_voxel(x, D, t, scale, load, i, j, k):
    """Fluxes in the middle of a voxel and half their change across it, from the multipliers of its six faces."""
    _, n0, n1, n2 = x.shape
    up, right, on = (i + 1) % n0, (j + 1) % n1, (k + 1) % n2
    a0, a1 = x[0, i, j, k], x[0, up, j, k]
    b0, b1 = x[1, i, j, k], x[1, i, right, k]
    c0, c1 = x[2, i, j, k], x[2, i, j, on]
    g, h, e = load[0] - (a1 - a0) * scale[0], load[1] - (b1 - b0) * scale[1], load[2] - (c1 - c0) * scale[2]
    a, b, c = 0.5 * (a0 + a1), 0.5 * (b0 + b1), 0.5 * (c0 + c1)
    total = t[0] + t[1] + t[2]
    mean = (t[0] * a + t[1] * b + t[2] * c) / total if total > 0.0 else 0.0
    return (
        D[0, 0] * g + D[0, 1] * h + D[0, 2] * e,
        D[1, 0] * g + D[1, 1] * h + D[1, 2] * e,
        D[2, 0] * g + D[2, 1] * h + D[2, 2] * e,
        0.5 * t[0] * (mean - a) / scale[0],
        0.5 * t[1] * (mean - b) / scale[1],
        0.5 * t[2] * (mean - c) / scale[2],
    )


@_parallel
def two_sided_fluxes(D, t, phase, x, scale, load, weights, out):
    """``weights[0]`` times the flux on the upper side of each face plus ``weights[1]`` times that on its lower side.

    ``D[phase]`` (3, 3) and ``t[phase]`` (3,) as in :mod:`homfem.grid.tensorial`; ``x`` and ``out`` (3, n0, n1, n2).
    """
    n0, n1, n2 = phase.shape
    upper, lower = weights
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        im, jm = (i - 1) % n0, (j - 1) % n1
        for k in range(n2):
            km = (k - 1) % n2
            p = phase[i, j, k]
            m0, m1, m2, s0, s1, s2 = _in_voxel(x, D[p], t[p], scale, load, i, j, k)
            p = phase[im, j, k]
            below = _in_voxel(x, D[p], t[p], scale, load, im, j, k)
            out[0, i, j, k] = upper * (m0 - s0) + lower * (below[0] + below[3])
            p = phase[i, jm, k]
            below = _in_voxel(x, D[p], t[p], scale, load, i, jm, k)
            out[1, i, j, k] = upper * (m1 - s1) + lower * (below[1] + below[4])
            p = phase[i, j, km]
            below = _in_voxel(x, D[p], t[p], scale, load, i, j, km)
            out[2, i, j, k] = upper * (m2 - s2) + lower * (below[2] + below[5])


@_parallel
def solve_symbols(D, t, half_sine, half_cosine, scale, shifts, r):
    """Solve the 3 x 3 systems of the homogeneous medium for all frequencies, in place: ``r`` (3, m0, m1, m2) complex.

    ``half_sine[a]`` and ``half_cosine[a]`` are those of half the angle along axis a, ``shifts[a]`` its complex
    exponential, which moves a face to the middle of its voxel and makes the systems real.
    """
    _, m0, m1, m2 = r.shape
    total = t[0] + t[1] + t[2]
    shift0, shift1, shift2 = shifts
    for line in prange(m0 * m1):
        i, j = line // m1, line % m1
        s, w = np.empty(3), np.empty(3)
        s[0], w[0] = 2.0 * half_sine[0, i] * scale[0], half_cosine[0, i]
        s[1], w[1] = 2.0 * half_sine[1, j] * scale[1], half_cosine[1, j]
        for k in range(m2):
            s[2], w[2] = 2.0 * half_sine[2, k] * scale[2], half_cosine[2, k]
            a = s[0] * s[0] * D[0, 0] + t[0] * w[0] * w[0] * (1.0 - t[0] / total)
            b = s[1] * s[1] * D[1, 1] + t[1] * w[1] * w[1] * (1.0 - t[1] / total)
            c = s[2] * s[2] * D[2, 2] + t[2] * w[2] * w[2] * (1.0 - t[2] / total)
            d = s[1] * s[2] * D[1, 2] - t[1] * t[2] / total * w[1] * w[2]
            e = s[0] * s[2] * D[0, 2] - t[0] * t[2] / total * w[0] * w[2]
            f = s[0] * s[1] * D[0, 1] - t[0] * t[1] / total * w[0] * w[1]
            if i == 0 and j == 0 and k == 0:
                # Equal multipliers on all faces are in the kernel: they may take any value.
                a, b, c, d, e, f = a + total, b + total, c + total, d + total, e + total, f + total
            x = r[0, i, j, k] * shift0[i]
            y = r[1, i, j, k] * shift1[j]
            z = r[2, i, j, k] * shift2[k]
            A, B, C = b * c - d * d, d * e - c * f, d * f - b * e
            E, F, G = a * c - e * e, e * f - a * d, a * b - f * f
            inverse = 1.0 / (a * A + f * B + e * C)
            r[0, i, j, k] = (A * x + B * y + C * z) * inverse * shift0[i].conjugate()
            r[1, i, j, k] = (B * x + E * y + F * z) * inverse * shift1[j].conjugate()
            r[2, i, j, k] = (C * x + F * y + G * z) * inverse * shift2[k].conjugate()


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
