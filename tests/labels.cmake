# Which tests tools/check runs again, and where it leaves one out. A name that no test has is an error of configure.
# slow: whole journeys of the command and long trainings, left out under ASan and UBSan but for --long
set(OCT_SLOW test_export_c_cross examples test_texts test_cli_options command_numbers int8_by_hand test_observer_accuracy test_outliers install packages
  test_exact_zoo test_small_memory test_improve test_cli_options_look test_cli_defaults guide_first_net guide_own_net guide_quantize guide_look guide_deploy test_doctor test_sweep test_pages
  report_page page_size test_onnx_runs test_verify_c test_kill test_spoiled test_qconfig_random test_cli
  test_observers test_schedules test_ops_grad test_journeys test_processes test_replay test_io_faults test_cut
  test_shown test_starved test_score test_distill test_exact test_faults)
# exact: the promise and what it stands on, once more on the reference kernels (OCT_CPU=ref); test_kernels runs every row each time
set(OCT_EXACT test_exact test_exact_zoo test_convert test_spoiled test_journeys test_fusion test_learned test_weight_range
  test_qops test_qops_golden test_int8_net test_int8_float test_int8_forms test_fused_steps test_int8_blocks test_int8_file test_lstm)
# threads: what runs on several, under TSan
set(OCT_THREADED test_cut test_base test_cpu test_float_mode test_blas test_loader test_autograd test_int8_net test_fit_data test_learned
  test_lstm)
# tree: of the sources, not of what was built: once is enough
set(OCT_TREE format layers mutations doxygen where hints)
foreach(pair slow:OCT_SLOW exact:OCT_EXACT threads:OCT_THREADED tree:OCT_TREE)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 label)
  list(GET pair 1 tests)
  foreach(test ${${tests}})
    if(TEST ${test})
      set_property(TEST ${test} APPEND PROPERTY LABELS ${label})
    elseif(NOT OCT_SANITIZE AND OCT_BUILD_TOOLS AND OCT_BUILD_EXAMPLES)
      message(FATAL_ERROR "tests/labels.cmake: no test is called ${test}")
    endif()
  endforeach()
endforeach()
# The longest begin first, so that all cores are busy to the end.
set(OCT_LONGEST examples test_texts test_cli_options test_exact test_cli test_faults test_qconfig_random test_qconfig test_spoiled test_small_memory
  command_numbers test_observer_accuracy test_cli_defaults test_cli_options_look test_journeys test_observers test_damaged_run
  test_schedules test_kill test_exact_zoo test_api test_fit test_io_faults test_shown test_starved)
set(cost 1000)
foreach(test ${OCT_LONGEST})
  if(TEST ${test})
    set_tests_properties(${test} PROPERTIES COST ${cost})
  endif()
  math(EXPR cost "${cost} - 10")
endforeach()
# These train on all cores: beside another test their threads would wait for each other, so each has one core to itself.
foreach(test test_doctor test_sweep examples guide_first_net guide_own_net guide_quantize guide_look guide_deploy)
  if(TEST ${test})
    set_tests_properties(${test} PROPERTIES PROCESSORS 1 PROCESSOR_AFFINITY ON)
  endif()
endforeach()
