octet_test(test_base)
octet_test(test_law)
octet_test(test_autograd)
add_test(NAME layers COMMAND ${PROJECT_SOURCE_DIR}/tools/check_layers)
