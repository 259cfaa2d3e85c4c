#!/usr/bin/env bash
# Install what is missing, build, run every test. Usage: scripts/test.sh [PRESET ...], presets of CMakePresets.json; default release.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

for preset in "${@:-release}"; do
  build "$preset"
  ctest --preset "$preset"
done
