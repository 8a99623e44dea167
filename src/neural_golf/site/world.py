"""What the whole site is made from, read once: results, leaderboard, data and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neural_golf import data
from neural_golf.config import Config
from neural_golf.config.sections import Record
from neural_golf.look.findings import Findings, read_findings
from neural_golf.look.interpret import public_records
from neural_golf.look.subject import choose
from neural_golf.results.result import Result, read_results
from neural_golf.results.sizes import Point, read_points
from neural_golf.site import board
from neural_golf.site.entered import Entered, everything_entered
from neural_golf.site.runtime import Runtime, find_runtime

__all__ = ["SITE", "Page", "World", "read_world"]

SITE = Path("results/site")
LEADERBOARD = Path("leaderboard/leaderboard.json")


@dataclass(frozen=True)
class Page:
    """One page: its file in the site, and what its template is given.

    description: the sentence that search engines and links show. data: what becomes JSON for the scripts.
    scripts: those of the folder scripts that the page loads, in this order. picture: a file of the site for
    links to this page, or "" for the picture of the home page.
    """

    path: str
    template: str
    title: str
    description: str
    view: Mapping[str, object]
    scripts: Sequence[str] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    picture: str = ""

    @property
    def root(self) -> str:
        """The way from this page up to the site's folder, which begins every address of the page."""
        return "../" * self.path.count("/")


@dataclass(frozen=True)
class World:
    """Everything that pages show. `files`: what is written beside the pages, by its place in the site."""

    config: Config
    facts: data.Facts
    test: data.Split
    heldout: data.Split
    results: Sequence[Result]
    chosen: Sequence[Result]  # the networks with figures, the largest first
    findings: Mapping[str, Findings]
    public: Sequence[Record]
    points: Sequence[Point]
    challenges: Sequence[board.Challenge]
    entered: Sequence[Entered]
    holes: Sequence[board.Hole]
    runtime: Runtime
    files: dict[str, bytes]

    @property
    def draws(self) -> bool:
        """Whether a person can draw what these networks see: images of one channel."""
        channels, height, _ = self.facts.shape
        return channels == 1 and height > 1

    @property
    def dataset(self) -> str:
        return self.config.dataset.title or self.config.data.dataset

    @property
    def things(self) -> str:
        """What the networks tell apart, in a word."""
        if self.public:
            return "digit"
        return "series" if self.facts.series else "image"

    def of(self, challenge: board.Challenge) -> Iterator[Entered]:
        """The entries of a challenge."""
        return (one for one in self.entered if any(place.challenge == challenge.name for place in one.places))

    def about(self, challenge: board.Challenge) -> bool:
        """Whether a challenge is about the data of this run, so that its images are here."""
        return challenge.dataset == self.config.data.dataset

    @property
    def first(self) -> Entered | None:
        """Which network a visitor draws for first: the record's holder where it is an entry or has figures.

        If it is not, the smallest that reaches the first goal and chose nothing on test images; if none does,
        the smallest.
        """
        here = [one for one in self.entered if one.dataset == self.config.data.dataset and one.network]
        goal = self.config.site.goals[0]
        holder = next((hole.holder for hole in self.holes if hole.goal == goal), None)
        named = [one for one in here if holder and one.name == holder.network]
        able = [one for one in here if one.honest and one.correct >= goal * one.images]
        return min(named or able or here, key=lambda one: one.nonzero, default=None)


def read_world(config: Config) -> World:
    """Everything, from the files of the stages before. Raises GolfError for one that is not there."""
    results = read_results()
    chosen = sorted(choose(results, config.interpret.networks), key=lambda result: -result.nonzero)
    facts, public = data.facts(), public_records(config)
    boards = board.all_challenges(LEADERBOARD, config)
    own = [one for one in boards if one.dataset == config.data.dataset]
    test = data.read("test")
    records = [board.record(results, goal, config.ladder) for goal in config.site.goals]
    shown = [*chosen, *(record for record in records if record and record not in chosen)]
    return World(
        config=config,
        facts=facts,
        test=test,
        heldout=data.read("heldout"),
        results=results,
        chosen=chosen,
        findings=read_findings(),
        public=public,
        points=read_points(),
        challenges=boards,
        entered=everything_entered(LEADERBOARD, boards, shown, config.data.dataset, facts.shape),
        holes=board.holes(config.site.goals, config.ladder.author, results, own, public, config.ladder),
        runtime=find_runtime()
        if config.site.inference
        else Runtime(why="site.inference is off in params.yaml"),
        files={},
    )
