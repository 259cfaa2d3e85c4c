# How the libraries of this project are made.
#
#  wafer_add_library(Name SOURCES ... [LINK ...])           LLVM-free; C++ standard library and small dependencies only
#  wafer_add_mlir_library(Name SOURCES ... [LINK ...] [DEPENDS ...])   compiler side: includes MLIR, no RTTI, links the shared libMLIR
#  wafer_add_tool(name SOURCES ... [LINK ...] [MLIR])

add_library(wafer-options INTERFACE)
target_compile_options(wafer-options INTERFACE -Wall -Wextra -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # A precompiled header with the time of its making in it is another one in each clone, and ccache finds nothing.
  target_compile_options(wafer-options INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
endif()
# LLVM's allocators poison memory in instrumented code and hand it out in Debian's libraries, which are not: tests run with allow_user_poisoning=0.
if(WAFER_SANITIZE)
  target_compile_options(wafer-options INTERFACE -fsanitize=${WAFER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  target_link_options(wafer-options INTERFACE -fsanitize=${WAFER_SANITIZE})
endif()

function(wafer_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE wafer-options)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# Debian's MLIR is one shared library built without RTTI; its headers are slow to parse, so every MLIR library shares one precompiled header.
function(wafer_use_mlir target)
  target_include_directories(${target} SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE ${LLVM_DEFINITIONS_LIST})
  target_compile_options(${target} PRIVATE -fno-rtti)
  target_link_libraries(${target} PRIVATE wafer-options)
  # Executables are compiled with -fPIE, which does not go with the libraries' -fPIC.
  get_target_property(type ${target} TYPE)
  if(TARGET wafer-mlir-pch AND NOT ${target} STREQUAL wafer-mlir-pch AND NOT type STREQUAL EXECUTABLE)
    target_precompile_headers(${target} REUSE_FROM wafer-mlir-pch)
  endif()
endfunction()

function(wafer_add_mlir_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  wafer_use_mlir(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

function(wafer_add_tool name)
  cmake_parse_arguments(ARG "MLIR" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} wafer-options)
  if(ARG_MLIR)
    wafer_use_mlir(${name})
    target_link_libraries(${name} PRIVATE MLIR LLVM)
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# wafer_add_folders(a b ...): the sub-folders that are there, in this order.
macro(wafer_add_folders)
  foreach(folder ${ARGN})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    endif()
  endforeach()
endmacro()
