"""Documents as pages: which there are, in which order, and where their links lead in the site."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCUMENTS", "Paper", "papers", "picture_files", "title_of", "way_for"]

DOCS = Path("docs")
# The documents in their order: file, group, and what a reader finds there. One that is not listed comes last.
DOCUMENTS: dict[str, tuple[str, str]] = {
    "docs/rules.md": ("Play", "What counts as a parameter, which files are scored, and how."),
    "docs/own-data.md": ("Play", "Golf your own data: images or series, from one command."),
    "docs/walk-through.md": ("Play", "From a NumPy array to a C file, step by step."),
    "docs/prune.md": ("Play", "Set weights of a network that you have trained to zero."),
    "docs/bytes.md": ("Play", "Files of few bytes: the format .golf, and links that carry a network."),
    "docs/ladder.md": ("Results", "Every network of this project, and what it may be compared with."),
    "results/front.md": ("Results", "Accuracy against size, for every recipe and entry."),
    "docs/interpretability.md": ("Results", "The blog's claims about its network, tested on ours."),
    "docs/versions.md": (
        "Results",
        "Every trick of the tests, as version 1 and version 2 of the rules judge it.",
    ),
    "docs/frontier-notes.md": ("Results", "Notes on the way, with one seed each."),
    "docs/engine.md": ("Inside the project", "The C++ core: how fast it is, and how it computes."),
    "docs/device.md": ("Inside the project", "C for microcontrollers, and what it needs there."),
    "docs/reliability.md": ("Inside the project", "Troubles with pipelines, and what becomes of them here."),
    "docs/scaling.md": ("Inside the project", "More cores and more machines."),
    "docs/extending.md": ("Inside the project", "Six likely changes as short diffs."),
    "docs/site.md": ("Inside the project", "This web site: how it is made, and how heavy it is."),
    "docs/map.md": ("Inside the project", "Where everything is, and what may depend on what."),
}
REST = "More"
HANDBOOK = "The handbook"


@dataclass(frozen=True)
class Paper:
    """A document: its file in the project, its page in the site, its group, and what it is about."""

    path: Path
    page: str
    group: str
    about: str


def page_of(path: Path) -> str:
    """Where a document's page is in the site.

    >>> page_of(Path("docs/rules.md")), page_of(Path("docs/handbook/README.md"))
    ('docs/rules.html', 'handbook/index.html')
    """
    if path.parent.name == "handbook":
        return f"handbook/{'index' if path.stem == 'README' else path.stem}.html"
    return f"docs/{path.stem}.html"


def papers() -> list[Paper]:
    """Every document that is in this folder, the handbook's pages at the end."""
    if not DOCS.is_dir():
        return []
    listed = [Path(name) for name in DOCUMENTS if Path(name).exists()]
    rest = sorted(path for path in DOCS.glob("*.md") if path not in listed)
    hand = sorted(DOCS.glob("handbook/*.md"), key=lambda path: (path.name != "README.md", path.name))
    made = [Paper(p, page_of(p), *DOCUMENTS.get(p.as_posix(), (REST, ""))) for p in (*listed, *rest)]
    return made + [Paper(p, page_of(p), HANDBOOK, "") for p in hand]


def title_of(path: Path) -> str:
    """The first heading of a document, or its file's name."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").replace("`", "")
    return path.stem


def way_for(path: Path, page: str) -> Callable[[str], str | None]:
    """Where the links of the document at `path`, shown on `page`, lead in the site.

    Links to other hosts and places stay as they are. A link to a document leads to its page, one to a figure
    or a picture to its copy, and one to any other file of the project to nothing.
    """
    pages = {paper.path.as_posix(): paper.page for paper in papers()}

    def way(address: str) -> str | None:
        if address.startswith(("#", "https://", "http://")):
            return address
        target, _, place = address.partition("#")
        file = posixpath.normpath(posixpath.join(path.parent.as_posix(), target))
        if file in pages:
            found = pages[file]
        elif file.startswith("results/figures/interpret/"):
            found = f"figures/{posixpath.basename(file)}"
        elif file.endswith((".svg", ".png")) and Path(file).exists():
            found = f"docs/{posixpath.basename(file)}"
        else:
            return None
        led = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"{led}#{place}" if place else led

    return way


def picture_files(paper: Paper) -> dict[str, bytes]:
    """The pictures that lie beside a document, by their places in the site."""
    beside = (path for path in paper.path.parent.glob("*") if path.suffix in (".svg", ".png"))
    return {f"docs/{path.name}": path.read_bytes() for path in beside} if paper.path.parent == DOCS else {}
