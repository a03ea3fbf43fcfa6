octet_test(test_qops)
octet_test(test_int8_net)
target_sources(test_int8_net PRIVATE int8_nets.c)
