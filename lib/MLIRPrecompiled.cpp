// Exists so that CMake has a target to hold the precompiled header.
