#!/usr/bin/env bash
# The engine's tests with AddressSanitizer and UndefinedBehaviorSanitizer in the compiled core.
# Usage: tests/sanitize.sh [python] [pytest arguments]; builds a copy under build/sanitize.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python}")
shift || true
copy=build/sanitize
rm -rf "$copy"
mkdir -p "$copy"
cp -r src tests setup.py pyproject.toml "$copy"
find "$copy" -name '*.so' -delete
touch "$copy/README.md" "$copy/LICENSE"
cd "$copy"
GOLF_BUILD_FLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
  "$python" setup.py -q build_ext --inplace
export PYTHONPATH=$PWD/src ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
export LD_PRELOAD
"$python" -c "from neural_golf.engine import _core; assert 'sanitize' in _core.__file__, _core.__file__"
"$python" -m pytest tests/test_engine.py "$@"
