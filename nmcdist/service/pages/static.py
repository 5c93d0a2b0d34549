"""The scripts and the style sheet of the pages: files of this package, sent by name, compressed once."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nmcdist.service.ranges import accepts_gzip, is_unchanged

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    "explorer.js": "text/javascript",
    "viewer.js": "text/javascript",
    "jobs.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "THIRD_PARTY.txt": "text/plain",
}


@dataclass(frozen=True)
class StaticFile:
    """A file with its type, its compressed bytes and the tags by which clients know both."""

    media_type: str
    content: bytes
    compressed: bytes
    tag: str

    def negotiated(self, headers: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the response to a request with some headers."""
        is_compressed = accepts_gzip(headers.get("accept-encoding"))
        tag = f'"{self.tag}{"-gzip" if is_compressed else ""}"'
        found = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if is_unchanged(headers.get("if-none-match"), tag):
            return 304, b"", found
        if is_compressed:
            return 200, self.compressed, {**found, "Content-Encoding": "gzip"}
        return 200, self.content, found


@cache
def static_file(name: str) -> StaticFile:
    """Return a file by its name; KeyError if there is none of that name."""
    media_type, content = TYPES[name], (FOLDER / name).read_bytes()
    compressed = gzip.compress(content, 9, mtime=0)
    return StaticFile(media_type, content, compressed, hashlib.sha256(content).hexdigest()[:32])
