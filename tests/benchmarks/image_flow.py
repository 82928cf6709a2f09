"""Flow and dispersion between the voxels of an image (``method = "grid"``): processor time and memory.

The image is a thresholded Gaussian field, periodic, seeded: .6 of it are pores, some eight voxels wide at 64 along an
axis, and as wide in all images, so that a larger image is one of more pores. Processor seconds on one core of the flow
of all axes (with what it takes to set up) and of the concentration by the Peclet number, of the mean speed and the
width of a pore times eight; what the process takes in memory above what it has before; and where it fits, the same
image as a mesh of its voxels (``elements = "voxel"``, degree 1), whose error at stairs is of the same size.

    python tests/benchmarks/image_flow.py --shapes 64,64,64 96,96,96 1000,1000 --json build/image_flow.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, peak_between, run_worker, table, write_json

Case = dict[str, Any]
#: Standard deviation of the filter that correlates the noise, in voxels.
CORRELATION = 4.0
POROSITY = 0.6
SEED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Flow and dispersion between the voxels of images.")
    parser.add_argument("--shapes", nargs="+", default=["32,32,32", "64,64,64", "256,256", "1000,1000"])
    parser.add_argument("--peclet", type=float, nargs="+", default=[0.0, 10.0, 1e3], help="of the size of a pore")
    parser.add_argument("--mesh", nargs="*", default=["24,24,24", "256,256"], help="shapes that are meshed, too")
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    jobs = [("grid", shape) for shape in options.shapes]
    jobs += [(way, shape) for shape in options.mesh for way in ("grid", "mesh") if ("grid", shape) not in jobs]
    runs = []
    for way, shape in jobs:
        case = {"way": way, "shape": [int(n) for n in shape.split(",")], "peclet": options.peclet}
        runs.append(run(case))
        print(report(runs[-1:]), flush=True)
    print("\n" + report(runs), flush=True)
    if options.json:
        write_json(options.json, {"machine": machine(), "runs": runs})


def run(case: Case) -> Case:
    """Run one case in its own process; add its peak memory above what it has before."""
    answer, samples = run_worker(__file__, case, timeout=14400.0)
    before = sum(peak_between(part, answer["start"], answer["start"] + 0.02) for part in samples.values())
    peak = sum(peak_between(part, answer["start"], answer["end"]) for part in samples.values())
    return {**case, **answer, "peak_mb": peak - before, "bytes": (peak - before) * 1e6 / np.prod(case["shape"])}


def pores(shape: list[int]) -> Any:
    """Return the image; the sizes of its pores do not depend on its shape."""
    from homfem.grid import Image

    noise = np.fft.fftn(np.random.default_rng(SEED).standard_normal(shape))
    waves = np.meshgrid(*[2.0 * np.pi * np.fft.fftfreq(n) for n in shape], indexing="ij")
    field = np.fft.ifftn(noise * np.exp(-0.5 * CORRELATION**2 * sum(k**2 for k in waves))).real
    return Image.from_labels(field > np.quantile(field, POROSITY), {"pore": 0, "solid": 1})


def slab(dimension: int) -> Any:
    """Return a small image, for imports and compilation."""
    from homfem.grid import Image

    labels = np.indices((8,) * dimension)[1] // 4
    return Image.from_labels(labels, {"pore": 0, "solid": 1})


def work(case_file: str, answer_file: str) -> None:
    """One image by one way, in this process."""
    case = json.loads(Path(case_file).read_text())
    # Peclet numbers of homfem have the shortest period; those of the table the size of a pore, whatever the image.
    peclet = [one * min(case["shape"]) / (8.0 * CORRELATION) for one in case["peclet"]]
    solve = {"grid": on_grid, "mesh": on_mesh}[case["way"]]
    solve(slab(len(case["shape"])), [1.0])
    image, start = pores(case["shape"]), time.perf_counter()
    answer = solve(image, peclet)
    Path(answer_file).write_text(json.dumps({**answer, "start": start, "end": time.perf_counter()}))


def on_grid(image: Any, peclet: list[float]) -> Case:
    """Between the voxels, and the estimate beside, which is not part of the time."""
    from homfem.grid import solve_dispersion_image
    from homfem.grid.carrier import Carrier
    from homfem.grid.pores import Pores

    laps: dict[str, list[float]] = {"set-up": [], "flow": [], "concentration": []}
    with (
        timed(Pores, "__init__", laps["set-up"]),
        timed(Pores, "flow", laps["flow"]),
        timed(Carrier, "solve", laps["concentration"]),
    ):
        found = solve_dispersion_image(image, {"pore": 1.0}, peclet=peclet, estimate=False, threads=1)
    return {
        "flow": sum(laps["set-up"]) + sum(laps["flow"]),
        "concentration": laps["concentration"],
        "value": [float(tensor.value[0, 0]) for tensor in found.series],
    }


def on_mesh(image: Any, peclet: list[float]) -> Case:
    """On a mesh of the voxels; the time of flow and concentrations together."""
    from homfem import cells
    from homfem.certify import homogenize_dispersion

    start = time.process_time()
    cell = cells.image_cell(image, elements="voxel")
    found: Any = homogenize_dispersion(cell, {"pore": 1.0}, peclet=peclet, degree=1)
    taken = time.process_time() - start
    return {"flow": taken, "concentration": [], "value": [float(tensor.value[0, 0]) for tensor in found]}


@contextmanager
def timed(owner: type, name: str, laps: list[float]) -> Iterator[None]:
    """Keep the processor seconds of each call of a method."""
    method: Callable[..., Any] = getattr(owner, name)

    def measured(*given: Any, **options: Any) -> Any:
        start = time.process_time()
        result = method(*given, **options)
        laps.append(time.process_time() - start)
        return result

    setattr(owner, name, measured)
    try:
        yield
    finally:
        setattr(owner, name, method)


def report(runs: list[Case]) -> str:
    """Return the table."""
    numbers = runs[0]["peclet"]
    rows = [
        [run["way"], " x ".join(map(str, run["shape"])), f"{run['flow']:.1f}",
         *([f"{one:.1f}" for one in run["concentration"]] or ["" for _ in numbers]), f"{run['peak_mb']:.0f}",
         f"{run['bytes']:.0f}", *(f"{value:.5g}" for value in run["value"])]
        for run in runs
    ]  # fmt: skip
    head = ["by", "shape", "flow s", *(f"Pe {one:g} s" for one in numbers), "MB", "B/voxel"]
    return table("", [*head, *(f"D* at {one:g}" for one in numbers)], rows)


if __name__ == "__main__":
    main()
