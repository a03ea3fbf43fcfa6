# SPDX-License-Identifier: MIT
# Installed: #include <octet.h>, rooms below octet/; liboctet and liboctet_infer; pkg-config files; CMake package octet with
# octet::octet (training) and octet::infer (deployment).
include(CMakePackageConfigHelpers)

set(OCT_PUBLIC_HEADERS
  src/api.h src/status.h src/words.h src/status.def src/context.h src/tensor.h src/dtype.def src/qparams.h src/graph.h src/op_kinds.def
  src/attr_fields.def src/quantizer_tensors.def src/net.h ops/ops.h datasets/data.h autograd/autograd.h autograd/nn/nn.h autograd/optim/optim.h qat/qat.h
  qat/net/switches.h qat/observe/observer.h qat/rules/qconfig.h qat/rules/qconfig_keys.def qat/rules/placements.h qat/step/settle.h
  qat/step/sim.h qat/passes/passes.h qat/improve/improve.h qat/improve/oscillation.h
  qat/infer/infer.h qat/io/import.h qat/fit/fit.h)
foreach(header IN LISTS OCT_PUBLIC_HEADERS)
  get_filename_component(dir ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet/${dir})
endforeach()
# octet.h includes by path from its own folder: installed inside octet/, with a one-line <octet.h> above it.
install(FILES octet.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet)
file(WRITE ${PROJECT_BINARY_DIR}/install/octet.h "#include \"octet/octet.h\"\n")
install(FILES ${PROJECT_BINARY_DIR}/install/octet.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set_target_properties(octet_infer_shared PROPERTIES EXPORT_NAME infer)
install(TARGETS octet octet_infer_shared EXPORT octet-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT octet-targets NAMESPACE octet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/install/octet-config-version.cmake COMPATIBILITY SameMinorVersion)
file(WRITE ${PROJECT_BINARY_DIR}/install/octet-config.cmake "include(\"\${CMAKE_CURRENT_LIST_DIR}/octet-targets.cmake\")\n")
install(FILES ${PROJECT_BINARY_DIR}/install/octet-config.cmake ${PROJECT_BINARY_DIR}/install/octet-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)

# relocatable: the prefix is found from the .pc file
file(RELATIVE_PATH OCT_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
foreach(lib octet octet_infer)
  configure_file(cmake/${lib}.pc.in ${PROJECT_BINARY_DIR}/install/${lib}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/install/${lib}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
if(TARGET octet_command)
  install(TARGETS octet_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
