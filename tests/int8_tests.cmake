octet_test(test_qops)
octet_test(test_candidates)
octet_test(test_qops_golden)
octet_test(test_int8_net)
octet_test(test_int8_float)
octet_test(test_int8_file)

# The deployable trio by itself: links, runs, names neither BLAS nor autograd.
add_executable(infer_only link/infer_only.c)
target_link_libraries(infer_only PRIVATE oct_flags octet_infer octet_ops octet_base)
add_test(NAME infer_only COMMAND infer_only ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_int8/net0)
add_test(NAME no_blas COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/link/check_no_blas.sh $<TARGET_FILE:octet_infer> $<TARGET_FILE:octet_ops>
  $<TARGET_FILE:octet_base> $<TARGET_FILE:infer_only>)
if(TARGET classify_int8)
  string(REPEAT "octet " 21 pixels) # 7 x 6 x 3 bytes
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/pixels.raw "${pixels}")
  add_test(NAME classify_int8 COMMAND classify_int8 ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_int8/net0 ${CMAKE_CURRENT_BINARY_DIR}/pixels.raw)
endif()
