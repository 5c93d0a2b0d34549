"""What the routes of items use: processes that render, and the folder that keeps what they made."""

import hashlib
import json
from typing import Any

from nmcdist.errors import Busy, InputError, PlanError, StoreError
from nmcdist.log import log
from nmcdist.service.pools import Pool
from nmcdist.service.problems import RequestError
from nmcdist.service.renders.exports import WAITING, Exports
from nmcdist.service.renders.places import Made, NotShownError, Place
from nmcdist.service.renders.workers import Workers
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import Item, Shelf
from nmcdist.version import __version__
from nmcdist.virtual.cache import Cache
from nmcdist.virtual.opening import cache_folder

_FORMAT = 2  # of what is kept: a change of any picture or brick changes it
_FOLDER, _EXPORTS = "renders", "exports"
_LARGEST = 1 << 20  # bytes of most pictures
_HEADERS, _BODY = "headers", "body"
_READERS, _READS_WAITING = 4, 500
_SPARE_S = 2.0  # before the deadline of a request, so that its error still names the reason


class Studio:
    """Renders items, and keeps what was rendered.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = cache_folder(settings.cache)
        self.workers = Workers(settings.renderers)
        self._cache = _cache(settings)
        self._reads = Pool("kept", _READERS, _READS_WAITING)
        self._renders = Pool("render", settings.renderers, WAITING)
        self._deadline_s = max(1.0, settings.deadline_s - _SPARE_S)
        self.exports = Exports(self.folder / _EXPORTS, settings, max(1, settings.renderers - 1), self._deadline_s)

    def start(self, shelf: Shelf) -> None:
        """Warm up in the background: with the latest release of each kind."""
        first = {(item.release.kind, item.release.virtual): item for item in shelf.items_in_order()}
        self.workers.warm([(self.place(item),) for item in first.values()], self._deadline_s)

    def close(self) -> None:
        """Drop what waits, and end the processes."""
        self._reads.close()
        self._renders.close()
        self.exports.close()
        self.workers.close()

    def place(self, item: Item) -> Place:
        """Return a release as a process finds it."""
        release = item.release
        return Place(item.store, release.manifest_sha256, release.virtual, self.folder, self.settings.cache_bytes)

    def name(self, task: str, item: Item, *arguments: Any) -> str:
        """Return a SHA-256 that names what a task makes; nothing is made."""
        deciding = [_FORMAT, __version__, task, item.path, item.release.manifest_sha256, *arguments]
        return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()

    async def made(self, task: str, item: Item, *arguments: Any) -> Made:
        """Return what a task makes of an item of a release: as it was kept, or made now.

        Raises
        ------
        RequestError
            404, 422 or 500, with the reason.
        Busy, TooManyError
            If it takes too long, or too many requests wait.
        """
        name = self.name(task, item, *arguments)
        kept = await self._reads.run(self._cache.get_all, name)
        if kept is not None:
            return json.loads(kept[_HEADERS]), kept[_BODY]
        return await self._renders.run(self._make, name, task, item, arguments)

    def _make(self, name: str, task: str, item: Item, arguments: tuple[Any, ...]) -> Made:
        headers, body = self.run(task, item, (self.place(item), *arguments), self._deadline_s)
        self._cache.put(name, {_HEADERS: json.dumps(headers).encode(), _BODY: body})
        return headers, body

    def run(self, task: str, item: Item, arguments: tuple[Any, ...], deadline_s: float) -> Any:
        """Run a task in a process, and turn its errors into those of a request."""
        try:
            return self.workers.run(task, arguments, deadline_s)
        except NotShownError as error:
            raise RequestError(404, f"{item.path}: {error}") from None
        except Busy:
            raise
        except (InputError, PlanError) as error:
            raise RequestError(422, str(error).replace(str(item.store), item.path)) from None
        except StoreError as error:
            log.error("%s", error)
            raise RequestError(500, f"{item.path}: the server cannot draw this item") from None


def cache_trouble(settings: Settings) -> str:
    """Return in one line why pictures and bricks are not kept on the disk; empty if they are."""
    found = _cache(settings).trouble(_LARGEST)
    return f"cache: {found}; pictures and bricks may be drawn each time" if found else ""


def _cache(settings: Settings) -> Cache:
    return Cache(cache_folder(settings.cache) / _FOLDER, settings.render_bytes)
