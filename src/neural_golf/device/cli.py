"""The arguments of `golf c` and `golf plain`. What they need is imported when they run."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_c_arguments", "add_plain_arguments", "run_c", "run_plain"]


def add_c_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="an ONNX file of this project, or a .golf file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .c file; its .h stands beside it",
    )
    parser.add_argument(
        "--bits", type=int, choices=[8], help="weights and maps as whole numbers of 8 bits; else as they are"
    )
    parser.add_argument("--name", default="net", help="the function's name (net)")
    parser.add_argument(
        "--input",
        choices=["uint8", "float"],
        default="uint8",
        help="the image's numbers: bytes, or 0.0 to 1.0",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data"), metavar="FOLDER",
        help="with --bits: the folder of train.safetensors and heldout.safetensors (data)",
    )  # fmt: skip


def add_plain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="an ONNX file of this project, or a .golf file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the ONNX file")


def run_c(args: argparse.Namespace) -> int:
    """Run `golf c`; returns 0. Raises GolfError for a file that names no layers, and for missing data."""
    from neural_golf.device import command

    return command.run_c(args)


def run_plain(args: argparse.Namespace) -> int:
    """Run `golf plain`; returns 0. Raises GolfError for a file that names no layers."""
    from neural_golf.device import command

    return command.run_plain(args)
