"""Commands on trained model bundles."""

import json

import click


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
    """Check a whole bundle: schema, units, digests."""
    from nmcdist.bundle import load_bundle
    from nmcdist.products.registry import kinds

    kinds()  # a kind may register models of its own
    loaded = load_bundle(path)
    click.echo(f"{path}: whole, model {loaded.model}, sha256 {loaded.content_hash}")
