"""The stage `site`: a static web site in results/site, which can be put on any host or opened from a folder.

Pages are made from templates and from the documents. Each address in them is relative, nothing is fetched
from another host, and scripts are plain files, so that a browser shows the pages from a file system too.
onnxruntime-web, which npm brings at build time, pinned by package-lock.json, is read when somebody draws or
drops a file. Without npm the site is built all the same; it then says that it cannot answer, and why.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from neural_golf.base.files import METRICS, write_bytes, write_json
from neural_golf.config import Config
from neural_golf.site.carried import carried
from neural_golf.site.pages import challenges, entries, handbook, home, inside, papers, share, trial
from neural_golf.site.render import render
from neural_golf.site.world import SITE, Page, World, read_world

__all__ = ["PAGES", "run"]

HERE = Path(__file__).parent
SIZES = METRICS / "site.json"
# The kinds of pages: each is a module of the folder pages and, mostly, a template of the same name.
PAGES: Mapping[str, Callable[[World], Iterator[Page]]] = {
    "home": home.pages,
    "challenge": challenges.pages,
    "entry": entries.pages,
    "handbook": handbook.pages,
    "inside": inside.pages,
    "try": trial.pages,
    "share": share.pages,
    "docs": papers.pages,
}


def run(config: Config) -> None:
    """Write results/site anew, and results/metrics/site.json: how many pages of each kind there are, and how
    many bytes the largest has.
    """
    world = read_world(config)
    kinds = {kind: list(pages(world)) for kind, pages in PAGES.items()}
    made = [page for pages in kinds.values() for page in pages]
    written = {page.path: _page(page, world, made).encode() for page in made}
    written.update(world.files | _assets(world))
    if SITE.exists():
        shutil.rmtree(SITE)
    for path, content in written.items():
        write_bytes(SITE / path, content)
    sizes = {kind: [len(written[page.path]) for page in pages] for kind, pages in kinds.items()}
    told = {kind: {"pages": len(some), "largest": max(some, default=0)} for kind, some in sizes.items()}
    write_json(SIZES, told)
    largest = max(made, key=lambda page: len(written[page.path]))
    why = f"; without answers: {world.runtime.why}" if world.runtime.why else ""
    kilobytes, megabytes = len(written[largest.path]) / 1000, sum(map(len, written.values())) / 1e6
    print(
        f"site: {SITE}, {len(made)} pages, the largest {largest.path} with {kilobytes:,.0f} kB, "
        f"{megabytes:.1f} MB in all{why}"
    )


def _page(page: Page, world: World, made: list[Page]) -> str:
    """A page as HTML."""
    paths = {one.path for one in made}
    return render(
        page.template,
        page=page,
        root=page.root,
        world=world,
        public=bool(world.public),
        dataset=world.dataset,
        thing=world.things,
        series=world.facts.series,
        runtime=world.runtime,
        json=json.dumps(page.data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        has={name: f"{name}/index.html" in paths for name in ("handbook", "docs")},
        **page.view,
    )


def _assets(world: World) -> dict[str, bytes]:
    """The style, the scripts, and the runtime."""
    found = {"assets/style.css": (HERE / "style.css").read_bytes()}
    for path in sorted((HERE / "scripts").glob("*.js")):
        found[f"assets/{path.name}"] = path.read_bytes()
    if world.runtime.wasm:
        found["assets/ort.js"] = world.runtime.script.encode()
        found["data/wasm.js"] = carried("wasm", world.runtime.wasm)
    found[".nojekyll"] = b""  # GitHub Pages takes the files as they are
    return found
