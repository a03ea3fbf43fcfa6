# What holds on every instruction set; of liboctet_infer alone, so that it is built and run for other machines in a minute
# (tools/check, the part aarch64).
octet_test(test_kernels)
target_sources(test_kernels PRIVATE kernel_cases_f32.c kernel_cases_int8.c kernel_cases_conv.c)
octet_test(test_candidates)
octet_test(test_qops)
octet_test(test_int8_net)
octet_test(test_same_codes)
octet_test(test_law)
octet_test(test_law_q31)
octet_test(test_cpu)
