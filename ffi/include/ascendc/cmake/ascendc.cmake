# CMake functions for Ascend C kernels: ascendc_library() and ascendc_fatbin_library(), which compile with `vinci cc`.
#
# VINCI_CC names the program; it is looked for on the path, then beside this installation. SOC_VERSION is the chip.

get_filename_component(_vinci_ascendc_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT VINCI_CC)
    if(DEFINED ENV{VINCI_CC})
        set(VINCI_CC "$ENV{VINCI_CC}")
    else()
        find_program(VINCI_CC vinci HINTS "${_vinci_ascendc_root}/bin")
    endif()
endif()
if(NOT VINCI_CC)
    message(FATAL_ERROR "the program vinci is not on the path; set VINCI_CC to it")
endif()
set(_vinci_ascendc_lib "${_vinci_ascendc_root}/lib64")

# Compiler options and macros for the kernels of a target.
function(ascendc_compile_options target)
    list(REMOVE_ITEM ARGN PRIVATE PUBLIC INTERFACE)
    set_property(GLOBAL APPEND PROPERTY _vinci_options_${target} ${ARGN})
endfunction()
function(ascendc_compile_definitions target)
    list(REMOVE_ITEM ARGN PRIVATE PUBLIC INTERFACE)
    foreach(definition IN LISTS ARGN)
        if(NOT definition MATCHES "^-D")
            set(definition "-D${definition}")
        endif()
        set_property(GLOBAL APPEND PROPERTY _vinci_options_${target} ${definition})
    endforeach()
endfunction()
function(ascendc_include_directories target)
    list(REMOVE_ITEM ARGN PRIVATE PUBLIC INTERFACE)
    foreach(folder IN LISTS ARGN)
        get_filename_component(folder "${folder}" ABSOLUTE)
        set_property(GLOBAL APPEND PROPERTY _vinci_options_${target} "-I${folder}")
    endforeach()
endfunction()

# Sets _options to those of a target: its own and the folders of headers that the project has set so far.
macro(_vinci_options target)
    get_property(_options GLOBAL PROPERTY _vinci_options_${target})
    get_directory_property(_folders INCLUDE_DIRECTORIES)
    foreach(folder IN LISTS _folders)
        list(APPEND _options "-I${folder}")
    endforeach()
    if(CMAKE_BUILD_TYPE STREQUAL "Debug")
        list(APPEND _options -g)
    endif()
    if(SOC_VERSION)
        list(APPEND _options --soc ${SOC_VERSION})
    endif()
endmacro()

# ascendc_library(NAME STATIC|SHARED FILE...): a library with the launches of the files and their kernels in it.
function(ascendc_library target kind)
    _vinci_options(${target})
    set(objects)
    foreach(file IN LISTS ARGN)
        get_filename_component(source "${file}" ABSOLUTE)
        get_filename_component(name "${file}" NAME_WE)
        set(object "${CMAKE_CURRENT_BINARY_DIR}/${target}_${name}.o")
        add_custom_command(
            OUTPUT "${object}"
            COMMAND "${VINCI_CC}" cc -c ${_options} "${source}" -o "${object}"
            DEPENDS "${source}"
            COMMENT "Compiling kernels of ${file}"
            VERBATIM)
        set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
        list(APPEND objects "${object}")
    endforeach()
    add_library(${target} ${kind} ${objects})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX POSITION_INDEPENDENT_CODE ON)
    if(EXISTS "${_vinci_ascendc_lib}")
        target_link_directories(${target} PUBLIC "${_vinci_ascendc_lib}")
    endif()
    target_link_libraries(${target} PUBLIC ascendcl)
endfunction()

# ascendc_fatbin_library(NAME FILE...): the files' kernels as a code object, installed as fatbin/NAME/NAME.o.
function(ascendc_fatbin_library target)
    _vinci_options(${target})
    set(sources)
    foreach(file IN LISTS ARGN)
        get_filename_component(source "${file}" ABSOLUTE)
        list(APPEND sources "${source}")
    endforeach()
    set(object "${CMAKE_CURRENT_BINARY_DIR}/${target}.o")
    add_custom_command(
        OUTPUT "${object}"
        COMMAND "${VINCI_CC}" cc ${_options} ${sources} -o "${object}"
        DEPENDS ${sources}
        COMMENT "Compiling kernels of ${target}"
        VERBATIM)
    add_custom_target(${target} ALL DEPENDS "${object}")
    install(FILES "${object}" DESTINATION "fatbin/${target}")
endfunction()
