# The MUSA SDK: mcc compiles device sources, which are C++17 and include no host library, one object a file; the
# host's compiler does all else. docs/MUSA.md.
set(MUSA_HOME "$ENV{MUSA_HOME}" CACHE PATH "the MUSA SDK, such as /usr/local/musa")
find_program(MUSAIC_MCC mcc PATHS "${MUSA_HOME}/bin" NO_DEFAULT_PATH)
find_library(MUSAIC_MUSART musart PATHS "${MUSA_HOME}/lib" "${MUSA_HOME}/lib64" NO_DEFAULT_PATH)
if(NOT MUSA_HOME OR NOT MUSAIC_MCC OR NOT MUSAIC_MUSART OR NOT EXISTS "${MUSA_HOME}/include/musa_runtime.h")
  message(FATAL_ERROR "MUSA_HOME: '${MUSA_HOME}' is no MUSA SDK: expected bin/mcc, include/musa_runtime.h and lib/libmusart.so "
                      "(docs/MUSA.md; make musa-shim builds against a stand-in)")
endif()
add_library(MUSA::musart UNKNOWN IMPORTED)
set_target_properties(MUSA::musart PROPERTIES IMPORTED_LOCATION "${MUSAIC_MUSART}"
                                              INTERFACE_INCLUDE_DIRECTORIES "${MUSA_HOME}/include")

set(mcc_flags -x musa -std=c++17 -O3 -fPIC -Wall -I${PROJECT_SOURCE_DIR}/src
              -I${PROJECT_SOURCE_DIR}/src/backends/musa/vendor -I${MUSA_HOME}/include)
foreach(architecture ${MUSAIC_MUSA_ARCHITECTURES})
  list(APPEND mcc_flags --offload-arch=mp_${architecture})
endforeach()

# musa_objects(LIST source...): sets LIST to the objects that mcc makes of the sources.
function(musa_objects list)
  set(objects)
  foreach(source ${ARGN})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${source})
    set(object ${PROJECT_BINARY_DIR}/mcc/${name}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${MUSAIC_MCC} ${mcc_flags} -MD -MT ${object} -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} ${MUSAIC_MCC}
      DEPFILE ${object}.d
      COMMENT "mcc ${name}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set(${list} ${objects} PARENT_SCOPE)
endfunction()
