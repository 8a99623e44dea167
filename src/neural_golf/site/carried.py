"""Bytes as scripts: from a file system no browser lets a page fetch a file, but it may read a script."""

from __future__ import annotations

import base64
import gzip

__all__ = ["carried"]


def carried(name: str, content: bytes) -> bytes:
    """A script that puts these bytes, compressed, into the object `carried` of the scripts."""
    text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return f'carried["{name}"]="{text}";\n'.encode()
