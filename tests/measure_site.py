"""How heavy each kind of page is and how soon it is painted: `make measure-site` writes the table in docs/site.md."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
SITE = ROOT / "results/site"
DOCUMENT = ROOT / "docs/site.md"
BEGIN, END = "<!-- sizes: written by `make measure-site` -->\n", "<!-- end of sizes -->"
TIMES = 5


def pages() -> list[str]:
    """The heaviest page of each kind, by what its file has."""
    kinds: dict[str, str] = {}
    found = sorted(SITE.rglob("*.html"), key=lambda path: path.stat().st_size)
    for path in found:
        name = path.relative_to(SITE).as_posix()
        kinds[name.split("/")[0] if "/" in name else name] = name
    return sorted(kinds.values(), key=lambda name: ("/" in name, name))


def measured() -> dict[str, tuple[int, float]]:
    """Of each page the bytes that it reads and the milliseconds to its first paint."""
    done = subprocess.run([ROOT / "tests/browser/install.sh"], capture_output=True, text=True, check=True)
    browser = done.stdout.strip().splitlines()[-1]
    command = ["node", ROOT / "tests/browser/weigh.mjs", browser, SITE, str(TIMES), *pages()]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        page: (sum(Path(file).stat().st_size for file in one["files"]), median(one["paints"]))
        for page, one in told.items()
    }


def main() -> None:
    lines = ["| page | read (kB) | painted (ms) |", "|---|--:|--:|"]
    lines += [
        f"| `{page}` | {size / 1000:,.0f} | {paint:.0f} |" for page, (size, paint) in measured().items()
    ]
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join(lines)
    DOCUMENT.write_text(f"{before}{BEGIN}{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
