# find_package(ASC): the language ASC, for files with Ascend C kernels and launches (.asc), which `vinci cc` compiles.
#
# VINCI_CC names the program; it is looked for on the path, then beside this installation.

list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/asc")

# Libraries of CANN that programs name, and whose parts are in headers here.
foreach(_vinci_name tiling_api platform register ascendalog unified_dlog graph_base error_manager ascendc_runtime)
    if(NOT TARGET ${_vinci_name})
        add_library(${_vinci_name} INTERFACE IMPORTED GLOBAL)
    endif()
endforeach()
unset(_vinci_name)
