# The order of the stages. dvc.yaml says what each stage runs, reads, writes and can use, and DVC runs, remembers and
# restores it. A rule waits for the files of the rules before it, and it runs when its stamp says that DVC finds the
# stage out of date.
from neural_golf.base.errors import GolfError
from neural_golf.compress import technique
from neural_golf.config import load
from neural_golf.jobs import Jobs
from neural_golf.look.interpret import caption_file, drawings
from neural_golf.workflow import Stages

try:
    settings = load()  # a wrong params.yaml fails here, before any job
    technique.check(settings)
    stages = Stages(main=workflow.is_main_process)
    stages.outdated
    # `--config pieces=true`, as the profiles for clusters say, makes every piece of a stage a job of its own.
    jobs = Jobs(settings, stages, on=bool(config.get("pieces")), main=workflow.is_main_process)
except (GolfError, OSError) as error:
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


def forced(stage):
    """The option with which DVC runs a stage that is up to date: for `snakemake -F`, and for `-f` and `-R`."""

    def option(wildcards):
        asked = workflow.dag_settings
        some = workflow.is_main_process and (asked.forceall or asked.forcetargets or asked.forcerun)
        return "--force" if some and stage not in stages.outdated else ""

    return option


localrules: all


rule all:
    input:
        stages.outputs("ladder"),
        stages.outputs("front"),
        stages.outputs("site"),


# `snakemake --lint` asks each rule for a log file and for a conda environment. A stage needs no log file, because it
# shows its progress to the person who runs it, and DVC keeps what it made. All rules share one environment, from
# environment.yml or in .venv.
for stage in stages:

    rule:
        name: stage
        input:
            stamp=stages.stamp(stage),
            # If a stage is up to date, so is everything before it, and the times of files mean nothing.
            files=stages.inputs(stage) if stage in stages.outdated else ancient(stages.inputs(stage)),
            pieces=jobs.awaited(stage),
        output:
            update(stages.outputs(stage)),  # DVC clears outputs itself; Snakemake must not
            figures(stage),
        params:
            force=forced(stage),
        localrule: True  # on a cluster, DVC and its bookkeeping stay on the machine that plans
        threads: 1 if jobs.awaited(stage) else stages.needs(stage).threads
        resources:
            mem_mb=stages.needs(stage).mem_mb,
            runtime=stages.needs(stage).minutes,
        shell:
            "golf stage {rule} {params.force}"


for stage in jobs:

    rule:
        name: f"{stage}_piece"
        input:
            stamp=jobs.stamp(stage),
            files=jobs.inputs(stage),
            before=jobs.before(stage),
        output:
            touch(jobs.mark(stage)),
        wildcard_constraints:
            key="[^/]+",
        params:
            stage=stage,
        group: stage if jobs.needs(stage).small else None
        threads: jobs.needs(stage).threads
        resources:
            mem_mb=jobs.needs(stage).mem_mb,
            runtime=jobs.needs(stage).minutes,
        shell:
            "golf piece {params.stage} {wildcards.key}"


# Two long experiments, which run only, and whenever, they are asked for by name: to Snakemake they make no file. They
# are not stages, so nothing that is out of date ever waits for them. Both go on where they were stopped, and do nothing
# again that is finished.


# `snakemake handbook` measures what each technique is worth.
rule handbook:
    input:
        stages.outputs("data"),
        jobs.awaited("handbook"),
    localrule: True
    threads: workflow.cores
    shell:
        "golf {rule}"


# `snakemake search` looks for good topologies and recipes.
rule search:
    input:
        stages.outputs("data"),
        jobs.awaited("search"),
    localrule: True
    threads: workflow.cores
    shell:
        "golf {rule}"
