"""Builds the compiled core of the engine, and takes the project's own settings along for `golf new`.

Without a C++17 compiler, the PyTorch twin is used instead, if `pip install '.[torch]'` was done.
"""

import ast
import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Puts what neural_golf/tasks/home.py lists into the wheel, as neural_golf/home."""

    def run(self):
        super().run()
        tree = ast.parse(Path("src/neural_golf/tasks/home.py").read_text(encoding="utf-8"))
        (files,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FILES"
        ]
        for name in files:
            target = Path(self.build_lib, "neural_golf/home", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)


try:
    from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
except ImportError:  # with --no-build-isolation in an environment without it
    sys.stderr.write("setup.py: no pybind11, so the compiled core is left out\n")
    setup(cmdclass={"build_py": BuildPy})
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
    cmdclass={"build_ext": build_ext, "build_py": BuildPy},
)
