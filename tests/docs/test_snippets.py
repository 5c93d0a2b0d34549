"""Every block of the README and the documentation runs, in a folder of its own, as a reader would type it."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.cli import cli, main
from nmcdist.clusters.cluster import kinds as cluster_kinds
from nmcdist.clusters.deployment import load_deployment
from nmcdist.faults import load_checked
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.refine.recipe import SuperresRecipe
from nmcdist.products import registry
from nmcdist.releases.model import read_metadata
from nmcdist.yaml_text import load_yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"python", "bash", "yaml"}  # blocks of text need a mark, since nothing checks them
_FENCE = re.compile(r"^(```+)(\w*)(?: title=\"([^\"]*)\")?$")
_MARK = re.compile(r"^<!-- not run: \S.* -->$")
_PLAIN = re.compile(r"[\w ./:=-]+")  # nothing that only a shell understands
_TITLE_IS_SAVED = re.compile(r"\w[\w.-]*\.(yaml|py)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str
    marked: bool
    text: str

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page, text):
    lines = text.splitlines()
    found, opened = [], None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if opened is None and line.startswith("```"):
            assert fence, f"{page}:{number + 1}: found {line!r}, expected ``` and a language"
            opened = number, fence
        elif opened is not None and line == opened[1][1]:
            first, fence = opened
            marked = first > 0 and bool(_MARK.match(lines[first - 1]))
            body = "\n".join(lines[first + 1 : number]) + "\n"
            found.append(Block(page, first + 1, fence[2], fence[3] or "", marked, body))
            opened = None
        elif opened is None and line.startswith("    ") and number and not lines[number - 1].strip():
            raise AssertionError(f"{page}:{number + 1}: found an indented block, expected one between ``` lines")
    assert opened is None, f"{page}: a block does not end"
    return found


def checked(block):
    """Return the block, if it is one that can run or says why it does not."""
    assert block.language in LANGUAGES or (block.language == "text" and block.marked), (
        f"{block.place}: found language {block.language!r}, expected {sorted(LANGUAGES)}, or text with a mark"
    )
    if block.title:
        assert _TITLE_IS_SAVED.fullmatch(block.title), f"{block.place}: title {block.title!r} is no name of a file"
    return block


def check_yaml(block, path):
    content = load_yaml(path)
    if "license" in content:
        read_metadata(path, path)
    elif content.get("kind") in cluster_kinds():
        load_deployment(path)
    elif content.get("kind") == "surrogate":
        load_checked(path, SurrogateRecipe)
    elif content.get("kind") == "superres":
        load_checked(path, SuperresRecipe)
    elif content.get("kind") == "segmenter":
        load_checked(path, SegmenterRecipe)
    else:
        registry.load_recipe(path)


def check_commands(block):
    """Parse every command of nmcdist with the command line's own parser; nothing runs."""
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if "nmcdist" in words:
            arguments = words[words.index("nmcdist") + 1 :]
            parse(list(itertools.takewhile(lambda word: word not in {">", ">>", "|"}, arguments)))


def parse(arguments):
    command, context = cli, click.Context(cli, info_name="nmcdist")
    while isinstance(command, click.Group) and (names := [word for word in arguments if not word.startswith("-")]):
        # As the group itself finds it: one takes a file in place of a command.
        _, command, arguments = command.resolve_command(context, arguments[arguments.index(names[0]) :])
    if not isinstance(command, click.Group):
        command.make_context(command.name, arguments, parent=context)


class Reader:
    """Does what a page says: saves files, and runs Python in one namespace and commands in bash."""

    def __init__(self, folder):
        self.folder, self.names = folder, {"__name__": "__page__"}
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "MPLBACKEND": "agg",
        }

    def follow(self, block):
        if block.title:
            (self.folder / block.title).write_text(block.text)
        if block.language == "yaml":
            path = self.folder / (block.title or "shown.yaml")
            path.write_text(block.text)
            check_yaml(block, path)
        elif block.language == "bash":
            self.bash(block)
        elif block.language == "python":
            code = compile(block.text, block.place, "exec")
            if not block.marked and not block.title:
                exec(code, self.names)

    def bash(self, block):
        check_commands(block)
        if block.marked:
            return
        lines = [words for line in block.text.splitlines() if (words := shlex.split(line, comments=True))]
        if all(words[0] == "nmcdist" and _PLAIN.fullmatch(" ".join(words)) for words in lines):
            for words in lines:
                self.command(block, words)
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text], cwd=self.folder, env=self.environment,
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"{block.place}: {done.stderr[-2000:]}"

    def command(self, block, words):
        """Call the command line in this process, which saves its start."""
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr(sys, "argv", words)
            main()
        assert ended.value.code == 0, f"{block.place}: {' '.join(words)}"


@pytest.fixture
def reader(tmp_path, monkeypatch):
    known = dict(registry.kinds())
    models = set(sys.modules)
    shutil.copytree(ROOT / "catalogs", tmp_path / "catalogs")
    shutil.copytree(ROOT / "deployments", tmp_path / "deployments")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield Reader(tmp_path)
    registry._known.clear()
    registry._known.update(known)
    for name in set(sys.modules) - models:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page, reader, monkeypatch):
    blocks = [checked(block) for block in blocks_of(page, page.read_text(encoding="utf-8"))]
    if "cba_quantities.OF_PHASES =" in page.read_text(encoding="utf-8"):  # put back what the page changes
        from nmcdist.descriptors import cba_quantities

        monkeypatch.setattr(cba_quantities, "OF_PHASES", cba_quantities.OF_PHASES)
    for block in blocks:
        reader.follow(block)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```text\nhello\n```\n", "found language 'text'"),
        ("<!-- not run: -->\n```text\nhello\n```\n", "found language 'text'"),
        ("```\nhello\n```\n", "found language ''"),
        ("```console\n$ nmcdist\n```\n", "found language 'console'"),
        ("Words.\n\n    nmcdist run recipe.yaml\n", "indented block"),
        ("```python\n1\n", "does not end"),
        ('```yaml title="../recipe.yaml"\nname: a\n```\n', "no name of a file"),
    ],
)
def test_a_block_that_nothing_would_check_is_refused(text, complaint):
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        [checked(block) for block in blocks_of(ROOT / "README.md", text)]


@pytest.mark.parametrize(
    "text",
    [
        "```bash\nnmcdist no-such-command\n```\n",
        "<!-- not run: long -->\n```bash\nnmcdist run recipe.yaml --no-such-option\n```\n",
        "```yaml\nname: a\n```\n",
        "<!-- not run: long -->\n```yaml\nkind: slurm\n```\n",
        "```python\n1 / 0\n```\n",
        "<!-- not run: long -->\n```python\n1 +\n```\n",
        "```bash\nfalse\n```\n",
    ],
)
def test_a_block_that_is_wrong_fails(text, reader):
    (block,) = blocks_of(ROOT / "README.md", text)
    with pytest.raises(Exception, match=r".+"):
        reader.follow(checked(block))
