# Sourced by the other scripts: installs what the build needs and is not there yet, and sets the variables they use. Quick when nothing is missing.
# Needs Debian 12 (or a relative of it that has LLVM 22), root or sudo, and the package registries.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Clones in different folders share one compiler cache, precompiled headers included.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

packages=(libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 lld-22 libclang-rt-22-dev mold ccache cmake ninja-build
  libflatbuffers-dev flatbuffers-compiler nlohmann-json3-dev libcli11-dev libfmt-dev libxxhash-dev libhwy-dev libgtest-dev libbenchmark-dev
  zlib1g-dev libzstd-dev openmpi-bin libopenmpi3 python3-venv python3-dev)

install_packages() {
  local missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing Debian packages: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: not root and no sudo; install these packages by hand: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_python() {
  local wanted; wanted=$(sha256sum python/requirements.txt | cut -d' ' -f1)
  [ "$(cat .venv/.installed 2>/dev/null || true)" != "$wanted" ] || return 0
  echo "making the virtual environment .venv"
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements.txt
  echo "$wanted" > .venv/.installed
}

# build PRESET: configure once, then build everything that changed.
build() {
  local folder=build
  [ "$1" = release ] || folder="build-$1"
  if [ ! -f "$folder/build.ninja" ]; then
    cmake --preset "$1" -DPython3_EXECUTABLE="$PWD/.venv/bin/python" >"$folder.configure.log" 2>&1 || { cat "$folder.configure.log" >&2; exit 1; }
    mv "$folder.configure.log" "$folder/configure.log"
  fi
  cmake --build "$folder"
}

install_packages
install_python
