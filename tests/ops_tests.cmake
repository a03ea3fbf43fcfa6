# f32
octet_test(test_ops_golden)
octet_test(test_ops_shapes)
octet_test(test_batch_sums)
octet_test(test_blas)
octet_test(test_ops_grad)
target_sources(test_ops_grad PRIVATE ref_ops.c)
# the references, sums in double without end, are what takes its time: fast, and not what sanitizers are for
target_compile_options(test_ops_grad PRIVATE -O2)
if(OCT_SANITIZE)
  set_source_files_properties(ref_ops.c PROPERTIES COMPILE_OPTIONS -fno-sanitize=all)
endif()
add_executable(bench_ops bench_ops.c) # a benchmark: built, not run by ctest
target_link_libraries(bench_ops PRIVATE oct_flags octet_static)
add_executable(bench_candidates bench_candidates.c) # another
target_link_libraries(bench_candidates PRIVATE oct_flags octet_static)
