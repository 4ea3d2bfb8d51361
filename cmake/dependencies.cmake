# Third-party libraries, each as one interface target hf::<name>. All come from the distribution;
# the packages' names stand in the table at the top of ./dev.

find_package(Threads REQUIRED)

function(hf_dependency name header)
  find_path(HF_${name}_INCLUDE "${header}")
  set(libraries "")
  foreach(library IN LISTS ARGN)
    find_library(HF_${library}_LIBRARY "${library}")
    list(APPEND libraries "${HF_${library}_LIBRARY}")
  endforeach()
  if(NOT HF_${name}_INCLUDE OR libraries MATCHES "NOTFOUND")
    message(FATAL_ERROR "${name} is missing (${header}, ${ARGN}): ./dev build installs it")
  endif()
  mark_as_advanced(HF_${name}_INCLUDE)
  add_library(hf::${name} INTERFACE IMPORTED GLOBAL)
  # A system include path, so that our warnings do not apply to it.
  target_include_directories(hf::${name} SYSTEM INTERFACE "${HF_${name}_INCLUDE}")
  target_link_libraries(hf::${name} INTERFACE ${libraries})
endfunction()

hf_dependency(uv uv.h uv)
hf_dependency(sqlite sqlite3.h sqlite3)
hf_dependency(pq postgresql/libpq-fe.h pq)
hf_dependency(jansson jansson.h jansson)
hf_dependency(sodium sodium.h sodium)
hf_dependency(mbedtls mbedtls/ssl.h mbedtls mbedx509 mbedcrypto)
hf_dependency(z zlib.h z)
hf_dependency(inih ini.h inih)
hf_dependency(uthash uthash.h)
if(HF_TESTS)
  hf_dependency(cmocka cmocka.h cmocka)
endif()
