# Which program compiles ASC, and which one links what comes of it.
get_filename_component(_vinci_root "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)
if(NOT CMAKE_ASC_COMPILER)
    if(DEFINED ENV{VINCI_CC})
        set(CMAKE_ASC_COMPILER "$ENV{VINCI_CC}")
    elseif(VINCI_CC)
        set(CMAKE_ASC_COMPILER "${VINCI_CC}")
    else()
        find_program(CMAKE_ASC_COMPILER vinci HINTS "${_vinci_root}/bin")
    endif()
endif()
if(NOT CMAKE_ASC_COMPILER)
    message(FATAL_ERROR "the program vinci is not on the path; set VINCI_CC to it")
endif()
mark_as_advanced(CMAKE_ASC_COMPILER)
if(NOT CMAKE_ASC_LINKER)
    find_program(CMAKE_ASC_LINKER NAMES c++ g++ clang++ clang++-19 REQUIRED)
endif()
set(CMAKE_ASC_COMPILER_ENV_VAR "VINCI_CC")
set(CMAKE_ASC_LIBRARIES "${_vinci_root}/lib64")
configure_file(
    "${CMAKE_CURRENT_LIST_DIR}/CMakeASCCompiler.cmake.in"
    "${CMAKE_PLATFORM_INFO_DIR}/CMakeASCCompiler.cmake"
    @ONLY)
