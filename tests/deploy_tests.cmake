# What is built without training too (-DOCT_INFER_ONLY=ON), and without Check.
add_executable(infer_only link/infer_only.c)
target_link_libraries(infer_only PRIVATE oct_flags octet_infer_static)
add_test(NAME infer_only COMMAND infer_only ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_int8/net0)
add_test(NAME no_blas COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/link/check_no_blas.sh $<TARGET_FILE:octet_infer_static>
  $<TARGET_FILE:octet_infer> $<TARGET_FILE:infer_only>)
if(TARGET classify_int8)
  string(REPEAT "octet " 21 pixels) # 7 x 6 x 3 bytes
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/pixels.raw "${pixels}")
  add_test(NAME classify_int8 COMMAND classify_int8 ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_int8/net0 ${CMAKE_CURRENT_BINARY_DIR}/pixels.raw)
endif()
set(exported octet_infer.h $<TARGET_FILE:octet_infer>)
if(TARGET octet)
  list(APPEND exported octet.h $<TARGET_FILE:octet>)
endif()
add_test(NAME exports COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/link/check_exports.sh ${CMAKE_C_COMPILER} ${exported})
if(NOT OCT_INFER_ONLY AND NOT OCT_SANITIZE)
  add_test(NAME infer_build COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/link/check_infer_build.sh ${PROJECT_SOURCE_DIR}
    ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_int8/net0)
endif()
