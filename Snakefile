# The order of the stages. What each one runs, reads, writes and can use stands in dvc.yaml, once; DVC runs,
# remembers and restores it. A rule waits for the files of the rules before it, and runs when its stamp says
# that DVC finds it out of date.
from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.compress import technique
from neural_golf.look.interpret import caption_file, drawings
from neural_golf.workflow import Stages

try:
    settings = config.load()  # a wrong params.yaml fails here, before any job
    technique.check(settings)
    stages = Stages()
    stages.outdated
except GolfError as error:
    raise WorkflowError(str(error)) from None


def figures(stage):
    """What `interpret` draws, with captions and categories for `snakemake --report`."""
    shown = []
    for drawn in drawings(settings) if stage == "interpret" else ():
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


# `snakemake --lint` asks each rule for a log file (a stage shows its progress where the person is, and DVC
# keeps what it made) and for a conda environment (there is one for all, environment.yml or .venv).
for stage in stages:

    rule:
        name: stage
        input:
            stamp=stages.stamp(stage),
            # Of a stage that is up to date, everything before it is too, and times mean nothing.
            files=stages.inputs(stage) if stage in stages.outdated else ancient(stages.inputs(stage)),
        output:
            update(stages.outputs(stage)),  # DVC clears outputs itself; Snakemake must not
            figures(stage),
        threads: stages.needs(stage).threads
        resources:
            mem_mb=stages.needs(stage).mem_mb,
            runtime=stages.needs(stage).minutes,
        shell:
            "golf stage {rule}"


# Two long experiments, asked for by name: they are no stages, so that what is out of date never waits
# for them. Both go on where they were stopped.


# What each technique is worth: `snakemake handbook`.
rule handbook:
    input:
        stages.outputs("data"),
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
