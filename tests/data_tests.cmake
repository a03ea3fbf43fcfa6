# Tests of src/format and datasets.
octet_test(test_safetensors)
