# The order of the stages. What each one runs, reads and writes stands in dvc.yaml, once; DVC runs,
# remembers and restores it. A rule waits for the files of the rules before it, and runs when its
# stamp says that DVC finds it out of date.
from neural_golf import config
from neural_golf.workflow import Stages
from neural_golf.errors import GolfError
from neural_golf.interpret import caption_file, drawings

try:
    settings = config.load()  # a wrong params.yaml fails here, before any job
    stages = Stages()
    stages.outdated
except GolfError as error:
    raise WorkflowError(str(error)) from None

# `snakemake --lint` says three things of every rule. No log file: a stage shows its progress where the
# person is, and DVC keeps what it made. No conda environment per rule: there is one for all, environment.yml
# or .venv. RUN from outside the rule: it is the same line for all, with nothing in it but the rule's name.
RUN = "golf stage {rule}"


def read(name):
    files = stages.inputs(name)
    # Of a stage that is up to date, everything before it is too, and times mean nothing.
    return {
        "stamp": stages.stamp(name),
        "files": files if name in stages.outdated else ancient(files),
    }


def written(name):
    return update(stages.outputs(name))  # DVC clears outputs itself; Snakemake must not


def figures():
    """What `interpret` draws, with captions and categories for `snakemake --report`."""
    shown = []
    for drawn in drawings(settings):
        # `report` may not begin a line: Snakemake would read its keyword.
        figure = report(
            update(drawn.path.as_posix()),
            caption=caption_file(drawn),
            category=drawn.category,
            labels={"figure": drawn.kind, "network": drawn.network or "all"},
        )
        shown.append(figure)
    return shown


localrules: all


rule all:
    input:
        stages.outputs("ladder"),
        stages.outputs("front"),
        stages.outputs("page"),


# MNIST in; train, held-out and test tensors out.
rule data:
    input:
        **read("data"),
    output:
        written("data"),
    threads: workflow.cores
    shell:
        RUN


# PyTorch's MNIST example, 1,199,882 parameters.
rule reference:
    input:
        **read("reference"),
    output:
        written("reference"),
    threads: workflow.cores
    shell:
        RUN


# The hand-made 8-5-4 network, 1,055 parameters.
rule baseline:
    input:
        **read("baseline"),
    output:
        written("baseline"),
    threads: workflow.cores
    shell:
        RUN


# Optuna: batch size, learning rate, schedule.
rule tune:
    input:
        **read("tune"),
    output:
        written("tune"),
    threads: workflow.cores
    shell:
        RUN


# 4-5-4 with the best settings, 807 parameters.
rule tuned:
    input:
        **read("tuned"),
    output:
        written("tuned"),
    threads: workflow.cores
    shell:
        RUN


# tuned, one weight after the other set to zero.
rule pruned:
    input:
        **read("pruned"),
    output:
        written("pruned"),
    threads: workflow.cores
    shell:
        RUN


# 4-5-4 with PReLU, 820 parameters.
rule prelu:
    input:
        **read("prelu"),
    output:
        written("prelu"),
    threads: workflow.cores
    shell:
        RUN


# prelu, one weight after the other set to zero.
rule prelu_pruned:
    input:
        **read("prelu_pruned"),
    output:
        written("prelu_pruned"),
    threads: workflow.cores
    shell:
        RUN


# A large network, to teach small ones.
rule teacher:
    input:
        **read("teacher"),
    output:
        written("teacher"),
    threads: workflow.cores
    shell:
        RUN


# The fewest parameters at 98 %: one descent per seed.
rule golf98:
    input:
        **read("golf98"),
    output:
        written("golf98"),
    threads: workflow.cores
    shell:
        RUN


# The fewest parameters at 99 %.
rule golf99:
    input:
        **read("golf99"),
    output:
        written("golf99"),
    threads: workflow.cores
    shell:
        RUN


# Every run of every row to ONNX.
rule export:
    input:
        **read("export"),
    output:
        written("export"),
    threads: workflow.cores
    shell:
        RUN


# The referee: accuracy and counts from the ONNX files alone.
rule verify:
    input:
        **read("verify"),
    output:
        written("verify"),
    threads: workflow.cores
    shell:
        RUN


# Two long experiments, asked for by name: they are no stages, so that what is out of date never waits
# for them. Both go on where they were stopped.


# What each technique is worth: `snakemake handbook`.
rule handbook:
    input:
        stages.outputs("teacher"),
    output:
        update(["results/plots/handbook.csv", "results/metrics/handbook.json"]),
    threads: workflow.cores
    shell:
        "golf {rule}"


# Topologies and recipes: `snakemake search`.
rule search:
    input:
        stages.outputs("data"),
    output:
        update(["results/plots/search.csv", "results/metrics/search.json"]),
    threads: workflow.cores
    shell:
        "golf {rule}"


# Accuracy against size, and what honesty costs.
rule front:
    input:
        **read("front"),
    output:
        written("front"),
    threads: workflow.cores
    shell:
        RUN


# The table of all rows, and their model cards.
rule ladder:
    input:
        **read("ladder"),
    output:
        written("ladder"),
    threads: workflow.cores
    shell:
        RUN


# What the networks look at: figures, and what was measured.
rule interpret:
    input:
        **read("interpret"),
    output:
        written("interpret"),
        figures(),
    threads: workflow.cores
    shell:
        RUN


# Everything on one page, which answers to drawings.
rule page:
    input:
        **read("page"),
    output:
        written("page"),
    threads: workflow.cores
    shell:
        RUN
