#!/usr/bin/env bash
# What the browser tests need: the packages of package-lock.json, and a Chromium. Exit code 3 and one
# line where they cannot be had; the tests are then skipped with that line.
set -u
cd "$(dirname "$0")/../.." || exit 3
command -v node >/dev/null && command -v npm >/dev/null || { echo "no node and npm on this machine"; exit 3; }
if [ ! -d node_modules/playwright-core ] || [ ! -d node_modules/axe-core ] || [ ! -d node_modules/jsqr ] || [ ! -d node_modules/onnxruntime-web ]; then
  npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 >/dev/null 2>&1 || { echo "npm could not bring the packages of package-lock.json"; exit 3; }
fi
find_browser() {
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    [ -n "$name" ] && command -v "$name" && return 0
  done
  return 1
}
find_browser && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1
  find_browser && exit 0
fi
echo "no Chromium on this machine, and it could not be installed (set CHROMIUM to one)"
exit 3
