# SPDX-License-Identifier: MIT
# Installed: <octet.h> and <octet_infer.h>, rooms below octet/; liboctet and liboctet_infer, shared and static; pkg-config
# files; CMake package octet with octet::octet (training) and octet::infer (deployment), and octet::octet_static,
# octet::infer_static.
include(CMakePackageConfigHelpers)

set(OCT_LIBS octet_infer)
if(NOT OCT_INFER_ONLY)
  list(APPEND OCT_LIBS octet)
endif()
set(OCT_PUBLIC_HEADERS)
set(targets)
foreach(lib IN LISTS OCT_LIBS)
  oct_reach(${lib}.h OCT_PUBLIC_HEADERS)
  list(APPEND targets ${lib} ${lib}_static)
  # lib.h includes by path from its own folder: installed inside octet/, with a one-line <lib.h> above it
  file(WRITE ${PROJECT_BINARY_DIR}/install/${lib}.h "#include \"octet/${lib}.h\"\n")
  install(FILES ${PROJECT_BINARY_DIR}/install/${lib}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
endforeach()
# and the tables that they read
foreach(header IN LISTS OCT_PUBLIC_HEADERS)
  get_filename_component(dir ${header} DIRECTORY)
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} tables REGEX "^#include \"[^\"]+[.]def\"")
  list(TRANSFORM tables REPLACE "^#include \"([^\"]+)\".*" "\\1")
  list(TRANSFORM tables PREPEND ${dir}/)
  install(FILES ${header} ${tables} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet/${dir} COMPONENT dev)
endforeach()

# parts of an installation: lib to run programs, dev to build them, command (cmake/packages.cmake makes a package of each)
install(TARGETS ${targets} EXPORT octet-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib NAMELINK_COMPONENT dev
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(EXPORT octet-targets NAMESPACE octet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet COMPONENT dev)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/install/octet-config-version.cmake COMPATIBILITY SameMinorVersion)
file(WRITE ${PROJECT_BINARY_DIR}/install/octet-config.cmake "include(\"\${CMAKE_CURRENT_LIST_DIR}/octet-targets.cmake\")\n")
install(FILES ${PROJECT_BINARY_DIR}/install/octet-config.cmake ${PROJECT_BINARY_DIR}/install/octet-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet COMPONENT dev)

# relocatable: the prefix is found from the .pc file
file(RELATIVE_PATH OCT_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
foreach(lib IN LISTS OCT_LIBS)
  configure_file(cmake/${lib}.pc.in ${PROJECT_BINARY_DIR}/install/${lib}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/install/${lib}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()
if(TARGET octet_command)
  install(TARGETS octet_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()
if(TARGET octet_pages)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/pages/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT command
    FILES_MATCHING PATTERN "*.1.gz")
  set(completion ${PROJECT_BINARY_DIR}/pages/octet)
  install(FILES ${completion}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME octet COMPONENT command)
  install(FILES ${completion}.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _octet COMPONENT command)
  install(FILES ${completion}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT command)
endif()

# what messages point at: the pages, and the examples as they are
set(OCT_DOC_DIR ${CMAKE_INSTALL_DATADIR}/doc/octet)
file(GLOB pages ${PROJECT_SOURCE_DIR}/docs/*.md)
file(GLOB guide ${PROJECT_SOURCE_DIR}/docs/guide/*.md)
file(GLOB examples ${PROJECT_SOURCE_DIR}/examples/*.c ${PROJECT_SOURCE_DIR}/examples/README.md)
install(FILES ${pages} DESTINATION ${OCT_DOC_DIR}/docs COMPONENT dev)
install(FILES ${guide} DESTINATION ${OCT_DOC_DIR}/docs/guide COMPONENT dev)
install(FILES ${examples} DESTINATION ${OCT_DOC_DIR}/examples COMPONENT dev)

# the pages of the API: `doxygen BUILD/Doxyfile`
set(OCT_DOXYGEN_INPUT)
foreach(page IN LISTS OCT_PUBLIC_HEADERS ITEMS README.md CONTRIBUTING.md docs docs/guide)
  string(APPEND OCT_DOXYGEN_INPUT " ${PROJECT_SOURCE_DIR}/${page}")
endforeach()
configure_file(cmake/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)

include(cmake/packages.cmake)
