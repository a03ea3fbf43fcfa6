# f32
octet_test(test_ops_grad)
target_sources(test_ops_grad PRIVATE ref_ops.c)
