"""Commands on trained model bundles."""

import json
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real


@click.group()
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
    from nmcdist.products.registry import kinds

    kinds()  # a kind may register models of its own
    loaded = load_bundle(name)
    content = {**loaded.model_dump(by_alias=True, mode="json"), "content_hash": loaded.content_hash}
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


@bundle.command("verify")
@click.argument("path")
def bundle_verify(path: str) -> None:
    """Check a whole bundle: schema, units, digests; of a segmenter also its probe."""
    from nmcdist.bundle import load_bundle
    from nmcdist.products.registry import kinds

    kinds()  # a kind may register models of its own
    loaded = load_bundle(path)
    if loaded.model == "segmenter":
        from nmcdist.calibration.segmenter.bundles import load_segmenter

        load_segmenter(loaded)  # its net gives here what it gave where it was trained
    click.echo(f"{path}: whole, model {loaded.model}, sha256 {loaded.content_hash}")


@bundle.command("new")
@click.argument("name")
@click.option("--from", "base", required=True, help="Bundle that supplies everything else: a built-in name or a path.")
@click.option("--additive", help="Bundle of an additive: makes electrodes, with the shells of --from. "
              "Needs --nmc-fraction.")  # fmt: skip
@click.option("--nmc-fraction", type=Real(), help="Volume of the particles of an electrode over that of its box.")
@click.option("--median-diameter-um", type=Real(), help="Median of the particles' mean diameters, in um.")
@click.option("--grain-diameter-nm", type=Real(), help="Diameter of a ball of the grains' mean volume, in nm.")
@click.option("--elongation", type=Real(), help="Mean of 1 - second / longest axis of the grains.")
@click.option("--graphite-fraction", type=Real(), help="Volume fraction of graphite.")
@click.option("--large-pore-fraction", type=Real(), help="Volume fraction of the large pores.")
@click.option("--solid-fraction", type=Real(), help="Volume fraction of the solid: graphite, carbon and binder.")
@click.option("--surface-per-um", type=Real(), help="Surface of the solid per volume, in 1/um.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="Value of a parameter; several numbers with commas between.")  # fmt: skip
@click.option("--out", type=PATH, help="New folder for the bundle. Default: NAME, in the current folder.")
def bundle_new(
    name: str, base: str, additive: str | None, settings: tuple[str, ...], out: Path | None, **wishes: float | None
) -> None:  # fmt: skip
    """Make a bundle NAME without training: from another bundle, with wishes or values of parameters.

    The parameters that change have the provenance "chosen". A few fresh realisations check what was asked for.
    """
    from datetime import date

    from nmcdist.bundle import load_bundle, save_bundle
    from nmcdist.errors import BundleError
    from nmcdist.models.wishes import bundle_from
    from nmcdist.products.registry import kinds

    kinds()  # a kind may register models of its own
    target = Path(name) if out is None else out
    if target.exists():  # known before the trials
        raise BundleError(f"{target}: already exists, expected a new folder for the bundle")
    asked = {wish: value for wish, value in wishes.items() if value is not None}
    made = bundle_from(
        load_bundle(base), name, asked, dict(map(_setting, settings)), date.today().isoformat(),
        additive=None if additive is None else load_bundle(additive),
    )  # fmt: skip
    click.echo(f"{save_bundle(made, target)}\n{made.calibration.method}")


def _setting(text: str) -> tuple[str, Any]:
    from nmcdist.errors import InputError
    from nmcdist.wording import shown

    name, _, value = text.partition("=")
    if not name or not value:
        raise InputError(f"--set: found {shown(text)}, expected NAME=VALUE")
    numbers = tuple(Real().convert(part, None, None) for part in value.split(","))
    return name, numbers if len(numbers) > 1 else numbers[0]
