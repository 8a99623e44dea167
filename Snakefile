# The order of the stages. What each one runs, reads and writes stands in dvc.yaml, once; DVC runs,
# remembers and restores it. A rule waits for the files of the rules before it, and runs when its
# stamp says that DVC finds it out of date.
from neural_golf import config
from neural_golf.workflow import Stages
from neural_golf.errors import GolfError

try:
    config.load()  # a wrong params.yaml fails here, before any job
    stages = Stages()
    stages.outdated
except GolfError as error:
    raise WorkflowError(str(error)) from None

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


localrules: all


rule all:
    input:
        stages.outputs("ladder"),


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


# The table of all rows, and their model cards.
rule ladder:
    input:
        **read("ladder"),
    output:
        written("ladder"),
    threads: workflow.cores
    shell:
        RUN
