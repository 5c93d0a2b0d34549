"""Times of pictures and bricks of single items: ``python -m benchmarks.renders``.

Seconds of CPU in one process, whose kernels are compiled and loaded and whose store is open, for items that it has not
seen: the record is read or drawn, too. Median and largest of several items. A thumbnail is the picture of an item in
the lists of the page; the share of those within the limit is stated for the record and the picture together, and for
the picture of a record that is there already.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import nmcdist
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.products.registry import loaded_recipe
from nmcdist.service.renders import items, tasks
from nmcdist.service.renders.places import Place
from nmcdist.threads import set_thread_count
from nmcdist.virtual import freeze

COUNT = 16
THUMBNAIL = ("z", 0.5, 128)  # as the page asks for it
LIMIT_S = 0.05  # for a thumbnail
PARTICLES = {
    "name": "particles", "version": "1.0.0", "title": "Particles", "bundle": "nmc811-radial", "seed": 811,
    "particles": {"count": COUNT, "batch": 4}, "orientations": {"concentration": 5.0}, "descriptors": "none",
}  # fmt: skip
VOLUMES = {
    "name": "volumes", "version": "1.0.0", "title": "Volumes", "bundle": "cba-cathode-2025", "seed": 1,
    "volume": {"shape": [256, 256, 256], "voxel_size_nm": 20.0}, "realisations": COUNT, "descriptors": "none",
    "storage": {"chunk": 64, "shard": "none"},
}  # fmt: skip


def places(folder: Path) -> dict[str, Place]:
    """Make the two datasets, and freeze them."""
    found = {}
    for recipe in (PARTICLES, VOLUMES):
        name, path = str(recipe["name"]), folder / f"{recipe['name']}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        made = nmcdist.run(path, folder, workers=0).store
        loaded, bundle, _ = loaded_recipe(path)
        freeze(loaded, bundle, folder / f"{name}-virtual.zarr")
        found[name] = Place(made, manifest_hash(made), False, folder / "cache", 1 << 30)
        virtual = folder / f"{name}-virtual.zarr"
        found[f"{name}, virtual"] = Place(virtual, manifest_hash(virtual), True, folder / "cache", 1 << 30)
    return found


def measured(task: Callable[..., Any], place: Place, *arguments: Any) -> str:
    task(place, 0, *arguments)  # compiles
    seconds = []
    for item in range(1, COUNT):
        items._shown.clear()
        seconds.append(_seconds(task, place, item, *arguments))
    return _summary(seconds)


def thumbnails(place: Place, colour: str) -> tuple[list[float], list[float]]:
    """Return the seconds for the records of items, read or drawn, and then for their thumbnails."""
    tasks.section(place, 0, *THUMBNAIL, colour)  # compiles
    records, pictures = [], []
    for item in range(1, COUNT):
        items._shown.clear()
        records.append(_seconds(items.view_of, place, item))
        pictures.append(_seconds(tasks.section, place, item, *THUMBNAIL, colour))
    return records, pictures


def _seconds(task: Callable[..., Any], *arguments: Any) -> float:
    start = time.process_time()
    task(*arguments)
    return time.process_time() - start


def _summary(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.0f} | {1e3 * max(seconds):.0f}"


def _share(seconds: list[float]) -> str:
    return f"{sum(one < LIMIT_S for one in seconds)} of {len(seconds)} under {1e3 * LIMIT_S:.0f} ms"


def main() -> None:
    set_thread_count(1)
    with tempfile.TemporaryDirectory() as folder:
        print("| dataset | what | CPU ms, median | largest |\n| --- | --- | --- | --- |")
        for name, place in places(Path(folder)).items():
            colours = ("grain", "radius", "size") if name.startswith("particles") else ("phase",)
            records, pictures = thumbnails(place, colours[0])
            both = [sum(pair) for pair in zip(records, pictures, strict=True)]
            row(name, f"thumbnail, {_share(both)}", _summary(both))
            if name.startswith("particles"):  # volumes have no record: a section reads or draws what it shows
                row(name, "its record, drawn" if place.is_virtual else "its record, read", _summary(records))
                row(name, f"its picture, {_share(pictures)}", _summary(pictures))
            for colour in colours[1:]:
                row(name, f"section, 128 pixels, {colour}", measured(tasks.section, place, *THUMBNAIL, colour))
            row(name, "section, 1024 pixels", measured(tasks.section, place, "x", 0.5, 1024, colours[0]))
            for edge in (96, 160, 256):
                row(name, f"brick, edge {edge}, gzip", measured(tasks.brick, place, edge, "gzip"))


def row(name: str, what: str, numbers: str) -> None:
    print(f"| {name} | {what} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
