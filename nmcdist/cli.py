"""The command line: it parses, calls and prints; what is heavy is imported by the command that needs it."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmcdist import __version__
from nmcdist.errors import InputError, NmcdistError, PlanError, RecipeError
from nmcdist.extras import need, of_import
from nmcdist.inputs import folder_to_make, local_path
from nmcdist.wording import shortened, shown

if TYPE_CHECKING:
    from nmcdist.clusters.deployment import Deployment
    from nmcdist.runs.production import Result

REFUSED = 2  # bad input, damaged or unwritable files
ITEMS_FAILED = 1
INTERRUPTED = 130

_MOST_FAILED = 10  # items that are named with their reasons


class _LocalPath(click.ParamType):
    """A path on this machine; a URL is refused in one line."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return local_path(value)


class _PlainDigits:
    """Refuses what is no number, and what Python takes for one besides digits from 0 to 9: other scripts, and 1_000."""

    read: Callable[[str], float]
    expected: str

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and (not value.isascii() or "_" in value):
            raise click.BadParameter(f"found {shown(value)}, expected a number in digits from 0 to 9", ctx, param)
        try:
            self.read(value)
        except ValueError:
            raise click.BadParameter(f"found {shown(value)}, expected {self.expected}", ctx, param) from None
        return super().convert(value, param, ctx)  # type: ignore[misc]


class _Whole(_PlainDigits, click.IntRange):
    read, expected = int, "a whole number"


class _Real(_PlainDigits, click.FloatRange):
    read, expected = float, "a number"


_PATH = _LocalPath()


class _FormatOption(click.Option):
    """Lists the export formats in its help; read only where that is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from nmcdist.datasets.export.formats import help_line

        self.help = help_line()
        return super().get_help_record(ctx)


def main() -> None:
    """Run the command line and exit: 0 done, 1 items failed, 2 refused, 130 interrupted."""
    _open_standard_streams()
    sys.exit(_flushed(_run()))


def _run() -> int:
    """Run the command and return the exit status; what is wrong is said in a line."""
    try:
        code = cli.main(prog_name="nmcdist", standalone_mode=False)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        with contextlib.suppress(OSError):
            click.echo(shortened(text.getvalue()), err=True, nl=False)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        code = INTERRUPTED
    except NmcdistError as error:
        _complain(str(error))
        code = REFUSED
    except OSError as error:
        name = error.filename or ("standard output" if _was_printing(error) else "")
        _complain(f"{name}: {error.strerror}" if name else str(error))
        code = REFUSED
    except SystemExit:  # click's, where the reader of what it prints has gone
        code = REFUSED
    except MemoryError:
        _complain("out of memory: take fewer or smaller items at a time, or a larger limit (see `ulimit -v`)")
        code = REFUSED
    except ImportError as error:
        if (missing := of_import(error)) is None:
            raise
        _complain(str(missing))
        code = REFUSED
    return code if isinstance(code, int) else 0


def _was_printing(error: OSError) -> bool:
    """Return whether an error comes from click's printing."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_name == "echo"


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        for line in shortened(text).splitlines() or [""]:
            print(f"nmcdist: error: {line}", file=sys.stderr, flush=True)


def _note(text: str) -> None:
    """Print a line of progress, where that is possible."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: the next file to be opened would get its place.

    What this process, or one that it starts, then printed would go into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)  # dup2 leaves it as it is where it got its own number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _flushed(code: int) -> int:
    """Write out what was printed, and return the exit status: refused where it cannot be written."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError as error:
            if number == 1:  # what is lost of the progress alone is no failure
                code = code or REFUSED
            if number == 1 and not isinstance(error, BrokenPipeError):
                _complain(f"standard output: {error.strerror}")
            os.dup2(os.open(os.devnull, os.O_RDWR), number)  # Python flushes once more at its end
    return code


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nmcdist")
def cli() -> None:
    """Virtual lithium-ion cathode microstructures, from recipe to published dataset."""


def _cluster_options(command: Any) -> Any:
    for option in (
        click.option("--memory", metavar="SIZE", help="Memory of a worker, as 8GiB."),
        click.option("--threads", type=_Whole(), help="Threads of one task; a worker has one task at a time."),
        click.option("--workers", type=_Whole(), help="Workers; on this machine 0 computes without Dask."),
        click.option("--cluster", type=_PATH, help="Deployment file, as deployments/slurm.yaml."),
    ):
        command = option(command)
    return command


def _deployment(cluster: Path | None, workers: int | None, threads: int | None, memory: str | None) -> "Deployment":
    from nmcdist.clusters.deployment import load_deployment

    return load_deployment(cluster, workers=workers, threads_per_worker=threads, memory_per_worker=memory)


@contextlib.contextmanager
def _naming(recipe: Path) -> Iterator[None]:
    """Name the file in what a plan finds wrong with its recipe."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError("\n".join(f"{recipe}: {line}" for line in str(error).splitlines())) from None


@cli.command()
@click.argument("recipe", type=_PATH)
@click.option("--out", type=_PATH, default=Path(), help="Folder of the dataset and its catalog.")
@click.option("--resume", is_flag=True, help="Make only what is missing or damaged.")
@click.option("--partition", metavar="K/N", help="Make the K-th of N parts, for job arrays; then `nmcdist finalise`.")
@click.option("--retries", type=_Whole(0, 100), help="Tries of a task after its first failure; default 1.")
@click.option("--max-failures", type=_Whole(0), help="Begin no more tasks after more failures than this.")
@_cluster_options
def run(recipe: Path, out: Path, resume: bool, partition: str | None, **options: Any) -> int:
    """Make the dataset of RECIPE, check it, and list it in the catalog of its folder."""
    from nmcdist.products.registry import load_recipe, recipe_bundle
    from nmcdist.runs.partition import run_part
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.run import run_recipe

    how = {name: options.pop(name) for name in ("retries", "max_failures")}
    how = {name: value for name, value in how.items() if value is not None}
    loaded = load_recipe(recipe)
    bundle = recipe_bundle(loaded, recipe.parent)
    deployment, progress = _deployment(**options), progress_on()
    again = f"nmcdist run {recipe} --out {out} " + ("--resume" if partition is None else f"--partition {partition}")
    try:
        with _naming(recipe):
            if partition is not None:
                part = _part(partition)
                result = run_part(loaded, bundle, out, part, deployment, progress=progress, **how)
            else:
                result = run_recipe(loaded, bundle, out, deployment, resume=resume, progress=progress, **how)
    except KeyboardInterrupt:
        _complain(f"interrupted; continue with: {again}")
        return INTERRUPTED
    return _end_of(result, again)


def _part(text: str) -> tuple[int, int]:
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise PlanError(f"partition: found {shown(text)}, expected K/N with 1 <= K <= N, as 2/8")
    return int(found[1]), int(found[2])


@cli.command()
@click.argument("store", type=_PATH)
def finalise(store: Path) -> int:
    """Check that all parts of STORE are made, seal it, and list it in the catalog of its folder."""
    from nmcdist.runs.partition import finalise_store
    from nmcdist.runs.progress import progress_on

    return _end_of(finalise_store(store, progress=progress_on()), f"nmcdist finalise {store}")


@cli.command()
@click.argument("store", type=_PATH)
def status(store: Path) -> None:
    """Tell how the run of STORE stands, from its journal: also of a run on another machine."""
    from nmcdist.runs.status import status_of

    for line in status_of(store).lines():
        click.echo(line)


@cli.command("retry-failed")
@click.argument("store", type=_PATH)
@click.option("--retries", type=_Whole(0, 100), default=1, help="Tries of a task after its first failure.")
@_cluster_options
def retry_failed(store: Path, retries: int, **options: Any) -> int:
    """Try the tasks of STORE again that failed, and seal it if nothing is left to do."""
    from nmcdist.runs.partition import retry_failed
    from nmcdist.runs.progress import progress_on

    deployment, progress = _deployment(**options), progress_on()
    try:
        result = retry_failed(store, deployment, progress=progress, retries=retries)
    except KeyboardInterrupt:
        _complain(f"interrupted; continue with: nmcdist retry-failed {store}")
        return INTERRUPTED
    return _end_of(result, f"nmcdist retry-failed {store}")


@cli.command()
@click.argument("recipe", type=_PATH)
@click.option("--out", type=_PATH, default=Path(), help="Folder that the dataset would go to.")
@click.option(
    "--measure", is_flag=True, help="Make a few tasks in a temporary folder, and tell what the run will take."
)
@_cluster_options
def plan(recipe: Path, out: Path, measure: bool, **cluster: Any) -> None:
    """Print what RECIPE would run: tasks, bytes, files, memory, chunks, the job script, and on demand the time."""
    from nmcdist.clusters.cluster import cluster_of
    from nmcdist.products.registry import load_recipe, make_plan, recipe_bundle
    from nmcdist.runs import estimate

    loaded = load_recipe(recipe)
    deployment, bundle = _deployment(**cluster), recipe_bundle(loaded, recipe.parent)
    with _naming(recipe):
        worked_out = make_plan(loaded, bundle, out, deployment, effort="estimate")
    click.echo(worked_out.summary())
    worked_out.validate()
    script = cluster_of(deployment).script(deployment, worked_out.resources)
    if measure:
        click.echo("\n".join(["", *estimate.measure(worked_out, bundle, deployment).lines(worked_out)]))
    if script:
        click.echo(f"\n{script.rstrip()}")


@cli.command()
@click.argument("store", type=_PATH)
@click.option("--max-lag-nm", type=_Real(), help="End of the two-point functions.")
@click.option("--max-radius-nm", type=_Real(), help="End of the size distributions.")
@click.option("--transport/--no-transport", default=None, help="Whether to solve for the M-factors.")
@click.option("--voxel-size-nm", type=_Real(), help="Voxels in which grains are measured (stores of particles).")
@click.option("--pixel-size-nm", type=_Real(), help="Pixels in which sections are measured (stores of particles).")
@_cluster_options
def describe(store: Path, **options: Any) -> int:
    """Compute the descriptors of a finished STORE again; its volumes or records stay as they are."""
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.redescribe import describe_store

    names = ("max_lag_nm", "max_radius_nm", "transport", "voxel_size_nm", "pixel_size_nm")
    changes = {name: options.pop(name) for name in names}
    changes = {name: value for name, value in changes.items() if value is not None}
    deployment, progress = _deployment(**options), progress_on()
    try:
        result = describe_store(store, deployment, changes=changes, progress=progress)
    except KeyboardInterrupt:
        _complain(f"interrupted; continue with: nmcdist describe {store}")
        return INTERRUPTED
    return _end_of(result, f"nmcdist describe {store}")


def _end_of(result: "Result", again: str) -> int:
    if result.failed:
        reasons = [f"{item}: {reason}" for item, reason in sorted(result.failed.items())]
        more = len(reasons) - _MOST_FAILED
        items = ", ".join(reasons[:_MOST_FAILED]) + (f" and {more} more" if more > 0 else "")
        _complain(f"items not made: {items} (see {result.journal / 'failures'}); try again with: {again}")
        return ITEMS_FAILED
    state = f"manifest sha256 {result.manifest_sha256}" if result.manifest_sha256 else "not sealed: nmcdist finalise"
    whole = "whole" if result.manifest_sha256 else "part made"
    click.echo(f"{result.store}: {whole}, {result.made} tasks done, {result.kept} kept, {state}")
    return 0


@cli.command()
@click.argument("store", type=_PATH)
def verify(store: Path) -> int:
    """Check every file of a finished STORE against its checksum, and that none is missing."""
    from nmcdist.datasets.catalog import CATALOG_FILE, recorded_manifest
    from nmcdist.datasets.integrity import damaged_samples, verify

    expected = recorded_manifest(store.absolute().parent / CATALOG_FILE, store)
    faults = verify(store, expected)
    for fault in faults:
        click.echo(f"{store}: {fault}")
    if not faults:
        click.echo(f"{store}: whole")
        return 0
    items = damaged_samples(faults)
    what = f"damaged items: {', '.join(map(str, items))}" if items else "damaged, though no item is"
    _complain(f"{store}: {what}; `nmcdist run RECIPE --resume` heals it")
    return REFUSED


@cli.command()
@click.argument("store", type=_PATH)
@click.option("--out", type=_PATH, help="Folder of the report; default: NAME-report beside the store.")
@click.option("--resolution-study", is_flag=True, help="Solve two volumes again at 80, 40 and 20 nm: some minutes.")
def report(store: Path, out: Path | None, resolution_study: bool) -> None:
    """Write figures (PNG, SVG) and tables (CSV, Markdown) of a finished STORE."""
    from nmcdist.products.stores import RESOLUTIONS_NM, build_report

    sizes = RESOLUTIONS_NM if resolution_study else ()
    click.echo(build_report(store, out, sizes, _note))


@cli.command()
@click.argument("store", type=_PATH)
@click.option("--item", "items", metavar="N or A-B", multiple=True, required=True, help="Which; may stand repeatedly.")
@click.option("--format", "file_format", default="tiff", show_default=True, cls=_FormatOption)
@click.option("--out", type=_PATH, help="File to write; of several items, the folder.")
@click.option("--voxel-size-nm", type=_Real(), help="Of particles: size of the voxels to render; default 50.")
@click.option("--label", type=_Whole(), help="With stl and ply: one grain or phase.")
@click.option(
    "--smoothing", type=_Whole(), help="Of surfaces and tetrahedra: sweeps; 0 leaves the steps of the voxels."
)
@click.option("--elements", help="Of volume meshes: hexahedra (default) or tetrahedra.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def export(store: Path, items: tuple[str, ...], file_format: str, out: Path | None, **options: Any) -> None:
    """Write items of STORE to files that other programs read."""
    from nmcdist.datasets.items import default_name, item_count
    from nmcdist.products.stores import export_item

    numbers = _numbers(items, item_count(store))
    for item in numbers:
        target = out if out is None or len(numbers) == 1 else out / default_name(store, item, file_format)
        click.echo(export_item(store, item, file_format, target, **options))


def _numbers(texts: tuple[str, ...], count: int) -> list[int]:
    """Return the items, of so many, that texts such as 3 and 5-9 name."""
    numbers: list[int] = []
    for text in texts:
        found = re.fullmatch("([0-9]{1,12})(?:-([0-9]{1,12}))?", text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise InputError(f"item: found {shown(text)}, expected a number from 0 or a range as 0-9")
        if last >= count:
            raise InputError(f"item: found {text}, expected items from 0 to {count - 1}")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))


@cli.group()
def catalog() -> None:
    """Catalogs of published datasets."""


_catalog_option = click.option(
    "--catalog", "path", type=_PATH, help="Catalog file; default: $NMCDIST_CATALOG, else ./catalog.yaml."
)


@catalog.command("list")
@_catalog_option
def catalog_list(path: Path | None) -> None:
    """List the datasets of a catalog."""
    from nmcdist.datasets.catalog import catalog_path, list_entries

    for name, entry in list_entries(catalog_path(path)).items():
        click.echo(f"{name}  {entry.get('version', '')}  {entry.get('title', '')}")


@catalog.command("show")
@click.argument("name")
@_catalog_option
def catalog_show(name: str, path: Path | None) -> None:
    """Show what a catalog knows of the dataset NAME."""
    from nmcdist.datasets.catalog import catalog_path, show_entry

    for key, value in show_entry(catalog_path(path), name).items():
        click.echo(f"{key}: {value}")


@catalog.command("add")
@click.argument("store", type=_PATH)
@_catalog_option
def catalog_add(store: Path, path: Path | None) -> None:
    """Add a finished STORE to a catalog, or renew its entry."""
    from nmcdist.datasets.catalog import add_entry, catalog_path

    where = catalog_path(path)
    click.echo(f"{where}: {add_entry(where, store)}")


@cli.group()
def calibrate() -> None:
    """From images to trained bundles."""


@calibrate.command("grains")
@click.argument("folder", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="New folder for the bundle, the numbers and the report.")
@click.option("--recipe", type=_PATH, help="Recipe of the training, as catalogs/calibrations/grains-energy.yaml.")
@click.option("--base", default="nmc811-radial", help="Bundle whose outer shells are taken, by name or path.")
@click.option("--held-out", type=_PATH, help="Folder of sections to compare the model with; none is left out.")
@click.option("--truth", help="Bundle of the phantom that the sections are of, by name or path.")
@click.option("--pixel-size-nm", type=_Real(), help="Of label images, whose files do not say it.")
@click.option("--misorientation-deg", type=_Real(), default=5.0, show_default=True, help="Between two grains of a map.")
@click.option("--min-pixels", type=_Whole(), default=0, show_default=True, help="Of a grain of a map.")
@click.option("--min-confidence", type=_Real(), help="Of a pixel of a map; others are missing.")
@click.option(
    "--repeats", type=_Whole(0), default=0, show_default=True,
    help="Further trainings with other seeds, for the spread of the distances; each takes as long as the first.",
)  # fmt: skip
@click.option("--centres", type=_PATH, help="Centres of the particles in the sections, .csv, .json or .yaml.")
@click.option(
    "--device", default="cpu", show_default=True,
    help="PyTorch device. A GPU does not help: windows and seeds are drawn on the CPU.",
)  # fmt: skip
@click.option("--threads", type=_Whole(1), help="Of torch on the CPU.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder.")
def calibrate_grains_command(
    folder: Path, out: Path, recipe: Path | None, base: str, held_out: Path | None, truth: str | None,
    centres: Path | None, **options: Any,
) -> int:  # fmt: skip
    """Train the grain model on a FOLDER of planar sections: EBSD maps, or images of labelled grains."""
    need("calibration", "the calibration of grains")
    need("report", "the report of a calibration")
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.grains.centres import read_centres
    from nmcdist.calibration.grains.recipe import GrainRecipe, load_grain_recipe
    from nmcdist.calibration.grains.sections import read_sections

    how = {name: options.pop(name) for name in ("pixel_size_nm", "misorientation_deg", "min_pixels", "min_confidence")}
    settings = GrainRecipe() if recipe is None else load_grain_recipe(recipe)
    bases = load_bundle(base), None if truth is None else load_bundle(truth)
    known = None if centres is None else read_centres(centres)
    sections, others = read_sections(folder, **how), [] if held_out is None else read_sections(held_out, **how)
    if known is not None:
        (sections, others), at_centroid = known.placed(sections, others)
        _note(json.dumps({"event": "centres", "given": len(known.places), "centroid": at_centroid}))
    from nmcdist.calibration.grains.calibrate import calibrate_grains
    from nmcdist.calibration.grains.training import CHECKPOINT
    from nmcdist.datasets.files import naming
    from nmcdist.report.grain_calibration import headline, report_grain_calibration

    try:
        with naming(out):
            calibrate_grains(
                sections, settings, bases[0], out, held_out=others, truth=bases[1],
                told=lambda facts: _note(json.dumps(facts)), **options,
            )  # fmt: skip
            page = report_grain_calibration(out, out / "report")
    except KeyboardInterrupt:
        if (out / CHECKPOINT).exists():
            _complain(f"interrupted; continue with the same command and --resume; what is done is in {out}")
        else:
            _complain("interrupted before the first epoch was done; start again with the same command")
        return INTERRUPTED
    click.echo(f"{out / 'bundle'}\n{page}\n{headline(out)}")
    return 0


@calibrate.command("phantom")
@click.argument("name")
@click.option("--out", type=_PATH, required=True, help="New folder for the maps and the phantom's bundle.")
@click.option("--sections", type=_Whole(1), default=16, show_default=True)
@click.option("--start", type=_Whole(0), default=0, show_default=True, help="Number of the first particle.")
@click.option("--seed", type=_Whole(0, 2**63), default=1, show_default=True)
@click.option("--missing", type=_Real(), default=0.1, show_default=True, help="Share of pixels without a solution.")
@click.option("--orientation-noise-deg", type=_Real(0, 180), default=0.5, show_default=True)
def calibrate_phantom(name: str, out: Path, sections: int, orientation_noise_deg: float, **how: Any) -> None:
    """Write EBSD maps of central sections of a phantom, by NAME or a particle's bundle.

    Names: radial, stout, isotropic, tangential, outward, two-sizes.
    """
    from nmcdist.bundle import load_bundle, save_bundle
    from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections, write_scan
    from nmcdist.datasets.files import naming

    known = phantom_bundles()
    loaded = known[name] if name in known else load_bundle(name)
    folder_to_make(out)
    cut = phantom_sections(loaded, how["seed"], sections, missing=how["missing"], start=how["start"])
    with naming(out):
        save_bundle(loaded, out / "truth")
        for number, section in enumerate(cut, how["start"]):
            write_scan(out / f"section-{number:04d}.ang", section, orientation_noise_deg, how["seed"] + number)
    click.echo(f"{out}: {len(cut)} maps, and the phantom's bundle in {out / 'truth'}")


@cli.group()
def bundle() -> None:
    """Trained model bundles."""


@bundle.command("list")
def bundle_list() -> None:
    """List the built-in bundles."""
    from nmcdist.bundle import list_bundles, load_bundle

    for name in list_bundles():
        click.echo(f"{name}  {load_bundle(name).title}")


@bundle.command("show")
@click.argument("name")
def bundle_show(name: str) -> None:
    """Show a bundle, by built-in name or path: values, units, provenance."""
    from nmcdist.bundle import load_bundle

    loaded = load_bundle(name)
    content = {**loaded.model_dump(by_alias=True, mode="json"), "content_hash": loaded.content_hash}
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


@bundle.command("verify")
@click.argument("path")
def bundle_verify(path: str) -> None:
    """Check a bundle whole: schema, units, digests."""
    from nmcdist.bundle import load_bundle

    loaded = load_bundle(path)
    click.echo(f"{path}: whole, model {loaded.model}, sha256 {loaded.content_hash}")


if __name__ == "__main__":
    main()
