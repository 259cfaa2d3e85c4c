#!/usr/bin/env bash
# Install what is missing, build, and run the main job: a classifier trained in PyTorch on handwritten digits, on the emulated wafer.
# Arguments go to examples/digits.py.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build release
PYTHONPATH=build/python .venv/bin/python examples/digits.py "$@"
