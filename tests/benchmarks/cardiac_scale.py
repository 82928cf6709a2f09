"""How cardiac steps grow with the mesh and the ranks, and what a human ventricle would take on many ranks.

The slab of Niederer et al. 2011 at rest, stimulated at a corner, as in ``cardiac_peers.py``: processor time of a rank
and iterations of a step, memory of a node. From the finest mesh follows what a ventricle needs, by

    step(P) = N/P (ODE + parabolic + elliptic) + iterations * messages + reductions

with the times per node that were measured, the iterations of the finest mesh, and for each iteration the exchanges of
halos (one in a product with the matrix or a sweep; ``LEVELS`` levels of multigrid with ``EXCHANGES`` each) and two
reductions. A message takes ``LATENCY`` for each of ``NEIGHBOURS`` ranks and the bytes of the halo over ``BANDWIDTH``; a
reduction ``LATENCY`` for each doubling of the ranks. A node that fills its cores with ranks shares its memory channels:
``SHARED`` is by how much a rank is slower then. These are assumptions, and are printed with the result.

    python tests/benchmarks/cardiac_scale.py --sizes 0.16 0.1 0.06 --ranks 2
    python tests/benchmarks/cardiac_scale.py --sizes 0.16 --ranks 1 2          # strong scaling
    python tests/benchmarks/cardiac_scale.py --weak                            # as many nodes on each of 1 and 2 ranks
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from cardiac_peers import STEP
from measure import machine, run_worker, table, write_json

#: Seconds, bytes per second and rank, ranks about a rank, levels and exchanges on each, slowing by shared memory.
LATENCY, BANDWIDTH, NEIGHBOURS, LEVELS, EXCHANGES, SHARED = 2e-6, 1e9, 14, 5, 4, 2.0
#: mm^3 of muscle of a human left ventricle; ms of a beat.
VENTRICLE, BEAT = 150e3, 1000.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps of cardiac models on larger meshes and on more ranks.")
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.16, 0.1], help="of the cubes of the mesh, mm")
    parser.add_argument("--ranks", nargs="+", type=int, default=[2])
    parser.add_argument("--kinds", nargs="+", default=["monodomain", "bidomain"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--weak", action="store_true", help="sizes 0.2 on 1 rank and 0.2 / 2^(1/3) on 2, instead")
    parser.add_argument("--volume", type=float, default=VENTRICLE, help="of the ventricle's muscle, mm^3")
    parser.add_argument("--json", default="", help="file for the numbers; with --estimate, read")
    parser.add_argument("--estimate", action="store_true", help="only print the estimate of what is in the file")
    options = parser.parse_args()
    if options.estimate:
        results = json.loads(Path(options.json).read_text())["results"]
    else:
        pairs = [(0.2, 1), (0.2 / 2 ** (1 / 3), 2)] if options.weak else []
        pairs = pairs or [(size, ranks) for size in options.sizes for ranks in options.ranks]
        results = [measured(size, ranks, kind, options.steps) for size, ranks in pairs for kind in options.kinds]
        if options.json:
            write_json(options.json, {"machine": machine(), "results": results})
    print(report(results))
    for kind in options.kinds:
        finest = max((r for r in results if r["kind"] == kind), key=lambda r: r["nodes"], default=None)
        if finest is not None:
            print(estimate(finest, options.volume))


def measured(size: float, ranks: int, kind: str, steps: int) -> dict[str, Any]:
    """Run one case in processes of its own."""
    case = {"peer": "homfem", "kind": kind, "size": size, "ranks": ranks, "steps": steps, "name": f"homfem {kind}"}
    script = str(Path(__file__).with_name("cardiac_peers.py"))
    answer, samples = run_worker(script, case, ranks=ranks if ranks > 1 else 0)
    peaks = [max(size for _, size in series) for series in samples.values()]
    answer |= {"bytes_per_node": (sum(peaks) - sum(answer["imported"])) / answer["nodes"], "largest_rank": max(peaks)}
    print(f"{kind}, {size:g} mm, {ranks} rank(s): {answer['nodes']} nodes, {answer['ms']:.1f} ms", flush=True)
    return case | answer


def report(results: list[dict[str, Any]]) -> str:
    """Return the table of what was measured."""
    rows = [
        (
            *(r["kind"], f"{r['size']:.3g}", r["nodes"], r["ranks"], f"{r['ms']:.2f}", f"{r['ode']:.2f}"),
            *(f"{r['stages'].get(stage, 0.0):.2f}" for stage in ("parabolic", "elliptic")),
            *(f"{r['iterations'].get(stage, 0.0):.1f}" for stage in ("parabolic", "elliptic")),
            *(f"{r['bytes_per_node']:.0f}", f"{r['largest_rank'] / 2**30:.2f}"),
        )
        for r in results
    ]
    head = ("kind", "mm", "nodes", "ranks", "ms", "ODE", "parabolic", "elliptic", "its", "its", "bytes/node", "GiB")
    return table("Processor time of a rank per step, iterations, memory (GiB: of the largest rank)", head, rows)


def estimate(r: dict[str, Any], volume: float, spacing: float = 0.25) -> str:
    """Return what a ventricle of a volume (mm^3) needs on 64 and 1024 ranks, with the reasoning."""
    nodes = volume / spacing**3
    per_node = 1e-3 * r["ms"] * r["ranks"] / r["nodes"]
    krylov, elliptic = r["iterations"].get("parabolic", 0.0), r["iterations"].get("elliptic", 0.0)
    memory = nodes * r["bytes_per_node"] / 2**30
    lines = [
        f"\nA ventricle of {volume / 1e3:g} cm^3 at {spacing:g} mm, {r['kind']}: {nodes / 1e6:.1f} million nodes, "
        f"{memory:.0f} GiB; a beat of {BEAT:g} ms has {BEAT / STEP:.0f} steps of {STEP:g} ms.",
        f"A node takes {1e9 * per_node:.0f} ns a step ({r['nodes']} nodes on {r['ranks']} rank(s)), {SHARED:g} times "
        f"that where the cores of a node share its memory; {krylov:.1f} and {elliptic:.1f} iterations; a message "
        f"{1e6 * LATENCY:g} us for each of {NEIGHBOURS} neighbours and {BANDWIDTH / 1e9:g} GB/s.",
    ]
    for ranks in (64, 1024):
        own = nodes / ranks
        halo = 6.0 * own ** (2.0 / 3.0) * 8.0 / BANDWIDTH
        exchange, reduction = NEIGHBOURS * LATENCY + halo, LATENCY * math.log2(ranks)
        exchanges = 2.0 * krylov + 3.0 + elliptic * (1.0 + LEVELS * EXCHANGES) + 2.0 * bool(elliptic)
        talk = exchanges * exchange + (2.0 * (krylov + elliptic) + 10.0) * reduction
        work = SHARED * own * per_node
        whole = (work + talk) * BEAT / STEP
        lines.append(
            f"{ranks} ranks: {own:.0f} nodes each; a step {1e3 * (work + talk):.1f} ms = {1e3 * work:.1f} of work and "
            f"{1e3 * talk:.1f} of {exchanges:.0f} exchanges and the reductions; a beat {whole / 60:.1f} min, "
            f"{own * r['bytes_per_node'] / 2**30:.2f} GiB a rank."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
