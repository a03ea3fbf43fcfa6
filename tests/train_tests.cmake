octet_test(test_optim)
octet_test(test_nn)
