octet_test(test_optim)
