"""onnxruntime-web for the site: found in node_modules or brought by npm, as a plain script."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Runtime", "find_runtime"]

PACKAGE = "onnxruntime-web"


@dataclass(frozen=True)
class Runtime:
    """onnxruntime-web as a script and its wasm; empty where it cannot be had, and then `why` says why."""

    script: str = ""
    wasm: bytes = b""
    why: str = ""


def find_runtime() -> Runtime:
    """onnxruntime-web at the version of package.json, from a node_modules folder or from npm."""
    try:
        wanted = json.loads(Path("package.json").read_text(encoding="utf-8"))["dependencies"][PACKAGE]
    except (OSError, KeyError, ValueError):
        return Runtime(why="there is no package.json beside params.yaml")
    folder = installed(wanted)
    if folder is None:
        npm = shutil.which("npm")
        if npm is None:
            return Runtime(
                why="npm was not there when it was built (`golf site` with node and npm installed mends it)"
            )
        command = [
            npm,
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
        ]
        try:
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=300,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return Runtime(why="npm did not answer when it was built")
        folder = installed(wanted)
        if folder is None:
            said = [line for line in made.stderr.splitlines() if "error" in line.lower()]
            return Runtime(why=f"npm could not bring {PACKAGE} when it was built: {' '.join(said[:1])[:150]}")
    script = (folder / "dist/ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")
    return Runtime(as_script(script), (folder / "dist/ort-wasm-simd-threaded.wasm").read_bytes())


def installed(version: str) -> Path | None:
    """The package's folder, looked for as node does: in node_modules here and above."""
    here = Path.cwd()
    for place in (here, *here.parents):
        folder = place / "node_modules" / PACKAGE
        manifest = folder / "package.json"
        if manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8"))["version"] == version:
            return folder
    return None


def as_script(module: str) -> str:
    """An ES module as a plain script, which a page may read from a file system too: its exports become the
    global object `ort`, and its own address that of the page, since it looks for no file beside it.

    >>> as_script("var a=import.meta.url;export{a as Tensor,a as env};\\n//# sourceMappingURL=x.map")
    '(()=>{var a=document.baseURI;globalThis.ort={Tensor:a,env:a};})();'
    """
    module = re.sub(r"\n//# sourceMappingURL=.*", "", module.rstrip())

    def named(found: re.Match[str]) -> str:
        pairs = [part.split(" as ") for part in found[1].split(",")]
        return "globalThis.ort={" + ",".join(f"{outside}:{inside}" for inside, outside in pairs) + "};"

    plain = re.sub(r"export\{([^}]*)\};?$", named, module).replace("import.meta.url", "document.baseURI")
    return f"(()=>{{{plain}}})();"
