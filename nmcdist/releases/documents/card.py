"""The page of a release that people read: what it holds, how to open it, how to cite it, how it was made."""

import re

from nmcdist.bundle import list_bundles
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.layout import own_dim
from nmcdist.releases.documents.text import doi_url, licence_url, orcid_url
from nmcdist.releases.model import Creator, Release, Variable

_MOST = 200  # rows of the table of variables
_PARAGRAPHS = re.compile(r"\n\s*\n")


def card(release: Release, archive: str = "") -> str:
    """Return ``README.md``; `archive` names the file that holds the store, empty if it is a folder."""
    sizes = release.sizes
    parts = [
        f"# {_plain(release.title)}",
        f"`{release.name}` version {release.version}, {release.created.isoformat()}: {sizes.items} items, "
        f"{readable_bytes(sizes.bytes)} in {sizes.files} files. Licence: "
        f"[{release.license}]({licence_url(release.license)}).",
        "\n\n".join(map(_plain, _PARAGRAPHS.split(release.description))),
    ]
    if release.preview:
        parts.append(f"![{release.preview}](preview.png)\n\n*{release.preview}*")
    parts += [
        "## Open it",
        _how_to_open(release, archive),
        "`ds.attrs` says how the store was made, and the attributes of each variable its unit and how it was measured.",
        *(["## Variables", _table(release.variables)] if release.variables else []),
        "## Cite it",
        f"> {_plain(release.citation)}",
        "Authors: " + "; ".join(map(_author, release.creators)) + ".",
    ]
    if release.papers:
        parts += ["Please also cite the papers whose models and estimators it uses:", _papers(release)]
    parts += ["## How it was made", _made(release, archive), "## Check it", _checks(release)]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Return a line of text in which Markdown and HTML mark nothing up."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in " ".join(text.split()))


def _how_to_open(release: Release, archive: str) -> str:
    """Return the lines that open the store without nmcdist."""
    if release.virtual:
        return f"""This release is virtual: nmcdist computes a chunk when it is first read.\n\n```python
import nmcdist

ds = nmcdist.open_virtual("{release.store}")
```\n\n`nmcdist serve` serves it to any Zarr client, which needs xarray and zarr alone."""
    if archive:
        lines = ["import xarray as xr", "from zarr.storage import ZipStore", ""]
        lines += [f'ds = xr.open_zarr(ZipStore("{archive}", mode="r"))']
    else:
        lines = ["import xarray as xr", "", f'ds = xr.open_zarr("{release.store}")']
    labelled = [v.name for v in release.variables if len(v.dims) == 1 and own_dim(v.dims[0]) == v.name != v.dims[0]]
    if labelled:
        names = ", ".join(f'"{name}"' for name in labelled)
        lines += [f"for name in [{names}]:  # to select by them, as in ds.sel({labelled[0]}=...)"]
        lines += ["    ds = ds.set_xindex(name)"]
    return "With xarray and zarr alone:\n\n```python\n" + "\n".join(lines) + "\n```"


def _table(variables: tuple[Variable, ...]) -> str:
    rows = ["| variable | dimensions | unit | meaning |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{v.name}` | {', '.join(v.dims)} | {_plain(v.units)} | {_plain(v.long_name or v.description)} |"
        for v in variables[:_MOST]
    ]
    more = len(variables) - _MOST
    return "\n".join(rows) + (f"\n\nand {more} more; `print(ds)` lists all." if more > 0 else "")


def _author(creator: Creator) -> str:
    name = _plain(creator.name)
    shown = f"[{name}]({orcid_url(creator.orcid)})" if creator.orcid else name
    return f"{shown} ({_plain(creator.affiliation)})" if creator.affiliation else shown


def _papers(release: Release) -> str:
    return "\n".join(f"- <{doi_url(paper)}>" for paper in release.papers)


def _bundle(path: str, archive: str) -> str:
    return (
        f"in the files `{path}-*`, which belong in a folder without that prefix"
        if archive
        else f"in the folder `{path}`"
    )


def _made(release: Release, archive: str) -> str:
    origin = release.provenance
    versions = origin.versions.model_dump()
    known = ", ".join(f"{name} {text}" for name, text in versions.items() if text)
    title = f": {_plain(origin.bundle.title)}" if origin.bundle.title else ""
    rows = [
        f"- Recipe: `recipe.yaml`, SHA-256 of its content `{origin.recipe_hash}`, seed {origin.seed}.",
        f"- Bundle of the model: `{origin.bundle.name}`{title}; SHA-256 of its content `{origin.bundle.hash}`"
        + (f"; {_bundle(origin.bundle.path, archive)}." if origin.bundle.path else "; not included."),
    ]
    if origin.bundle.calibrated_on:
        rows.append(f"- Calibrated on: {_plain(origin.bundle.calibrated_on)}.")
    if known:
        rows.append(f"- Software: {known}.")
    if origin.hosts:
        rows.append(f"- Machines: {', '.join(f'`{host}`' for host in origin.hosts)}.")
    return "\n\n".join(["\n".join(rows), *_again(release, archive)])


def _again(release: Release, archive: str) -> list[str]:
    """Return how to make the store again, with a command that works in the folder of the page."""
    if release.virtual:
        return []
    if not archive:
        command = f"nmcdist catalog materialise {release.label} --catalog ../../catalog.yaml --out ../../../again"
        return [
            "This command makes it again, and compares the checksums of all files. Run it in this folder, as long as "
            f"it is `{release.name}/{release.version}` in its folder of releases:\n\n```bash\n{command}\n```"
        ]
    if release.provenance.recipe.get("bundle") not in list_bundles():
        return []
    return [
        "This command makes it again; compare the SHA-256 of its `manifest.json` with the one below:\n\n"
        "```bash\nnmcdist run recipe.yaml --out ../again\n```"
    ]


def _checks(release: Release) -> str:
    return (
        "`sha256sum --check SHA256SUMS` checks every file. `nmcdist verify .` also checks that no chunk is missing.\n\n"
        f"SHA-256 of the store's `manifest.json`: `{release.manifest_sha256}`."
    )
