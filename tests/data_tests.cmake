# Tests of src/format and datasets.
octet_test(test_safetensors)
octet_test(test_image)
octet_test(test_npz)
octet_test(test_data)
octet_test(test_synth)
octet_test(test_loader)
add_subdirectory(fuzz)
