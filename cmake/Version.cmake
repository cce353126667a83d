# generated/version.h with the commit of each build, not of the first one. Included, it defines the target; run as a script
# (cmake -DSOURCE= -DOUTPUT= -DPROJECT_VERSION= -P), it writes the file where something changed.
if(CMAKE_SCRIPT_MODE_FILE)
  execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE MUSAIC_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT MUSAIC_COMMIT)
    set(MUSAIC_COMMIT "no commit")
  endif()
  configure_file(${SOURCE}/src/version.h.in ${OUTPUT})
  return()
endif()
set(version_header ${PROJECT_BINARY_DIR}/generated/version.h)
add_custom_target(version_header BYPRODUCTS ${version_header}
                  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${version_header}
                          -DPROJECT_VERSION=${PROJECT_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/Version.cmake
                  VERBATIM)
add_dependencies(musaic version_header)
