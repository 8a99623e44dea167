"""The arguments of `golf prune`, which imports what it needs late."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_prune_arguments", "run_prune"]


def add_prune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="MODEL.onnx", help="a trained network, from any exporter")
    data_help = "an .npz or .csv file, a folder of images by class, or a data set of params.yaml"
    parser.add_argument("--data", required=True, metavar="D", help=data_help)
    why = "the share of the held-out images that must be right afterwards, such as 0.98"
    parser.add_argument("--keep", type=float, required=True, metavar="SHARE", help=why)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the ONNX file")
    parser.add_argument(
        "--retrain",
        action="store_true",
        help="train on while weights are removed: fewer are left, in minutes",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the training (0)")


def run_prune(options: argparse.Namespace) -> int:
    """Prune the network as the options of `add_prune_arguments` say."""
    from neural_golf.prune import command

    return command.run_prune(options)
