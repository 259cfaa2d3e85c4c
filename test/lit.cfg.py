"""The lit suite: `lit -v BUILD/test`, or `lit -v BUILD/test --filter Stream` for a part.

WAFER_CHECK_ROUNDTRIP=1 makes every wafer-opt call also print, parse and compare the IR it ends with.
"""

import os

import lit.formats

config.name = "Wafer"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".td", ".ws", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.wafer_binary_dir, "test")

# Without MLIR only the tests of the tools that need none are left.
if not config.wafer_has_compiler:
    config.suffixes.remove(".mlir")

config.environment["PATH"] = os.pathsep.join([config.wafer_tools_dir, config.llvm_tools_dir, config.environment["PATH"]])
# A variable of one CHECK-LABEL block is not visible in the next.
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"
config.environment["WAFER_MACHINES"] = os.path.join(config.wafer_source_dir, "machines")
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

if os.environ.get("WAFER_CHECK_ROUNDTRIP") == "1":
    config.substitutions.append((r"\bwafer-opt\b", "wafer-opt --verify-roundtrip"))
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%machines", os.path.join(config.wafer_source_dir, "machines")))
