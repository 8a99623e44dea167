"""The texts of a task's files: params.yaml, the challenge, README.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from neural_golf.base.yaml12 import parse_yaml, yaml_text
from neural_golf.referee.rules import RULES_VERSION
from neural_golf.tasks.rules import Known, Plan

__all__ = ["challenge_text", "params_text", "readme"]

COPIED = ("pack", "verify")  # sections that are the project's own, with their comments
SEEDS = [0, 1, 2]


def flow(value: object) -> str:
    """A value as YAML in one line.

    >>> flow(["conv 8 k3", "relu"]), flow("a: b"), flow(0.5)
    ('[conv 8 k3, relu]', "'a: b'", '0.5')
    """
    text = yaml_text(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")


def block(text: str, section: str) -> str:
    """A section of a params.yaml as it stands there, with the comment before it."""
    found = re.search(rf"^((?:#.*\n)*){section}:(?:.*\n(?=[ \n]|\Z))+", f"{text}\n", re.MULTILINE)
    if not found:
        raise KeyError(section)
    return found[0].rstrip() + "\n"


def params_text(
    home: str,
    name: str,
    entry: Mapping[str, object],
    known: Known,
    plan: Plan,
    reach: float,
    classes: Sequence[str],
) -> str:
    """A task's params.yaml. home: the project's own, as text."""
    default = parse_yaml(home)
    lines = "\n".join(f"    {key}: {flow(value)}" for key, value in entry.items())
    drawn = [plan.sizes[0], plan.sizes[len(plan.sizes) // 2], plan.sizes[-1]]
    networks = ["baseline", *dict.fromkeys(f"smallest-heldout-{size}" for size in drawn)]
    excite = {**default["interpret"]["excite"], "steps": 100}
    strokes = {**default["interpret"]["strokes"], "radius": plan.radius, "width": plan.width}
    prune = {**default["prune"], "judges": ["heldout"], "threshold": reach, "heldout_threshold": reach}
    record = {"record_seeds": len(SEEDS), "record_p": 0.05}
    copied = "\n".join(block(home, section) for section in COPIED)
    return f"""\
# The settings of the task {name}, as `golf new` wrote them. Change what you like: `snakemake` and `dvc repro` run exactly
# what depends on it. The networks and the numbers of epochs follow from the shape and the number of the examples, by
# the rules in neural_golf/tasks/rules.py; docs/extending.md of Neural Golf tells what can stand here.

data:
  dataset: {name} # a name from the table `datasets`
  heldout: {known.heldout} # training examples that no network is trained on
  seed: 0 # of the split; the challenge is about the test examples of this one

datasets:
  {name}: # {len(classes)} classes
{lines}

# The rows of the ladder. Each has its settings in the section of its name. One more seed costs one more training.
rows:
  baseline:
    by: training
    seeds: {flow(SEEDS)}
    method: A network that is trained with Adam.
  smallest:
    by: descent
    seeds: {flow(SEEDS)}
    method: >-
      A network that is trained dense; then the least useful weights are removed while training goes on, by Optimal
      Brain Surgeon, and some come back.

baseline:
  network: {flow(plan.baseline)}
  epochs: {plan.epochs}
  batch: {plan.batch}
  learning_rate: 0.004
  step: {max(1, plan.epochs // 6)} # the number of epochs from one cut of the learning rate to the next
  gamma: 0.5 # each cut multiplies it by this

smallest:
  goal: {reach} # the accuracy that this row is made for
  enter: {flow(plan.sizes)} # these sizes are on the ladder, whatever they score
  recipe:
    network: {flow(plan.smallest)}
    batch: {plan.batch}
    dense_epochs: {plan.dense_epochs}
    dense_rate: 0.006
    fast_to: {plan.sizes[0]} # weights are removed fast until this number is left
    fast_epochs: {plan.fast_epochs}
    slow_epochs: {plan.slow_epochs} # from there down to the last size
    sizes: {flow(plan.sizes)} # a snapshot is kept at each
    settle: {max(2, plan.slow_epochs // 30)} # epochs in which the rate falls to zero before every snapshot
    rate: 0.007
    fisher_images: {plan.fisher_images} # training examples that say which weights may go
    penalty: 0.0003
    average: 0.0
    techniques: {{regrowth: {{share: 0.1, every: 3}}}}

# Of rows by zeroing and of `golf prune`.
prune: {flow(prune)}

# What the model cards and `golf enter` say. A recipe holds a size if its mean over so many seeds is above the goal, with
# this p, and the seed that the held-out examples choose reaches the goal too.
ladder: {flow({"author": "anonymous", "licence": "other", "links": [], "blog_dataset": "mnist", **record, "records": []})}

# Which networks the figures show, and how.
interpret:
  networks: {flow(networks)}
  sample_seed: 0
  worst: 20
  strokes: {flow(strokes)}
  excite: {flow(excite)}

site:
  inference: true # onnxruntime-web is part of the site, which then answers to drawings and runs files; npm brings it
  goals: [{reach}]
  samples: {plan.samples} # held-out examples of each class that can be shown to a network

# What follows is as in the project's own params.yaml.
{copied}"""


def challenge_text(
    challenge: str,
    title: str,
    name: str,
    files: Mapping[str, Mapping[str, str]],
    images: int,
    classes: int,
    reach: float,
) -> str:
    """A challenge's YAML file."""
    return f"""\
name: {challenge}
title: {flow(f"{title}, {100 * reach:g} %"[:100])}
dataset: {name}
split: test
files: # `golf new` wrote them into data/, and they are known by their MD5
  images: {flow(dict(files["images"]))}
  labels: {flow(dict(files["labels"]))}
images: {images}
classes: {classes}
threshold: {math.ceil(round(reach * images, 9))} # correct answers; an integer, so nothing is rounded
score: nonzero # what is made small: the non-zero parameters
rules: {RULES_VERSION} # the version of Neural Golf's docs/rules.md
"""


def readme(name: str, title: str, reach: float, challenge: str) -> str:
    """A task's README.md."""
    return f"""\
# {title}: {100 * reach:g} % with the fewest numbers

    snakemake                     # everything, from the data to the web site; `dvc repro` does the same
    cat results/ladder.md         # every network, and which sizes hold {100 * reach:g} %
    golf verify FILE.onnx         # score any file under the challenge {challenge}
    golf enter && golf leaderboard    # enter what passes, and bring leaderboard/ up to date

Every setting stands in params.yaml, and each stage in dvc.yaml. The networks are results/onnx/*.onnx, their model cards
results/cards/*.md, and the web site begins with results/site/index.html. A newer version of Neural Golf runs nothing again by itself:
`dvc repro --force` does.
"""
