"""The file format `.golf`: a network of whole numbers in as few bytes as its contents need.

docs/bytes.md describes it for somebody who writes a decoder. Nothing here depends on the machine: all
arithmetic is that of whole numbers.
"""

from neural_golf.packed.file import SUFFIX, decode, encode

__all__ = ["SUFFIX", "decode", "encode"]
