"""The documents, rendered from docs/ with a list and a search."""

from __future__ import annotations

import json
from collections.abc import Iterator

from neural_golf.site.papers import DOCUMENTS, papers, picture_files, title_of, way_for
from neural_golf.site.render import markdown, sections
from neural_golf.site.world import Page, World

__all__ = ["pages"]


def pages(world: World) -> Iterator[Page]:
    """docs/index.html and docs/NAME.html, and the index of the search; none where there are no documents."""
    found = papers()
    if not found:
        return
    groups = {
        group: [(paper, title_of(paper.path), paper.about) for paper in found if paper.group == group]
        for group in dict.fromkeys(paper.group for paper in found)
    }
    index = []
    for paper in found:
        text = paper.path.read_text(encoding="utf-8")
        index += [[paper.page, title_of(paper.path), *section] for section in sections(text)]
        world.files.update(picture_files(paper))
        if paper.group == HANDBOOK:
            continue  # these have pages of their own
        yield Page(
            path=paper.page,
            template="paper.html.j2",
            title=title_of(paper.path),
            description=paper.about or f"{title_of(paper.path)}: a document of Neural Golf.",
            view={
                "paper": paper,
                "text": markdown(text, way=way_for(paper.path, paper.page), paragraphs=""),
                "groups": groups,
                "headings": [(place, words) for place, words, _ in sections(text)[1:]],
            },
            scripts=("search", "sort"),
        )
    words = json.dumps(index, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    world.files["data/search.js"] = f"carried.search={words};\n".encode()
    yield Page(
        path="docs/index.html",
        template="papers.html.j2",
        title="Documents",
        description="Rules, extending, engine, reliability, and how to golf your own data, with a search over all of it.",
        view={"groups": groups, "count": len(DOCUMENTS)},
        scripts=("search",),
    )


HANDBOOK = "The handbook"
