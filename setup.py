"""Builds the compiled core of the engine.

Without a C++17 compiler, the PyTorch twin is used instead, if `pip install '.[torch]'` was done.
"""

import os
import sys
from pathlib import Path

from setuptools import setup

try:
    from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
except ImportError:  # with --no-build-isolation in an environment without it
    sys.stderr.write("setup.py: no pybind11, so the compiled core is left out\n")
    setup()
    sys.exit()

core = Path("src/neural_golf/engine/core")
flags = [] if sys.platform == "win32" else ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wall"]
more = os.environ.get("GOLF_BUILD_FLAGS", "").split()  # for compiler and linker: tests/sanitize.sh
ParallelCompile("NPY_NUM_BUILD_JOBS", default=os.cpu_count() or 1).install()

setup(
    ext_modules=[
        Pybind11Extension(
            "neural_golf.engine._core",
            sorted(str(path) for path in core.glob("*.cpp")),
            depends=sorted(str(path) for pattern in ("*.hpp", "*.inc") for path in core.glob(pattern)),
            cxx_std=17,
            extra_compile_args=flags + more,
            extra_link_args=more,
            optional=True,
        )
    ],
    cmdclass={"build_ext": build_ext},
)
