"""The arguments of `golf c`, `golf device` and `golf export --plain`, which import what they need late."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = [
    "add_c_arguments",
    "add_device_arguments",
    "add_plain_arguments",
    "run_c",
    "run_device",
    "run_plain",
]


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
        "--input", choices=["uint8", "float", "own"],
        help="an image's numbers: bytes, 0.0 to 1.0, or the data's own, whose ranges the file names (own if "
        "it names some, else uint8)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="D",
        help="with --bits: data as `golf prune` takes them, or the folder in which the stage `data` wrote "
        "train.safetensors and heldout.safetensors (data)",
    )  # fmt: skip


def add_plain_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `golf export` besides the stage's, which has none."""
    parser.add_argument(
        "--plain", type=Path, metavar="MODEL.onnx",
        help="an ONNX or .golf file of this project, to be written without kernels in several positions",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="with --plain: the ONNX file")


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compile networks for Cortex-M0 and M4, run them in qemu, and write what they need into "
        "leaderboard/device.json. It needs arm-none-eabi-gcc and qemu-system-arm."
    )
    parser.add_argument(
        "files", nargs="*", type=Path,
        help="ONNX or .golf files (default: all of the leaderboard and of the ladder)",
    )  # fmt: skip
    parser.add_argument("--again", action="store_true", help="also measure what has been measured")


def run_c(args: argparse.Namespace) -> int:
    """Run `golf c`; returns 0. Raises GolfError for a file that names no layers, and for missing data."""
    from neural_golf.device import command

    return command.run_c(args)


def run_device(args: argparse.Namespace) -> int:
    """Run `golf device`; returns 0. Raises GolfError as `tool.run_device` does."""
    from neural_golf.device import tool

    return tool.run_device(args)


def run_plain(args: argparse.Namespace) -> int:
    """Run `golf export --plain`; returns 0. Raises GolfError for a file that names no layers."""
    from neural_golf.device import command

    return command.run_plain(args)
