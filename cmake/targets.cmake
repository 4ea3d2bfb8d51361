# hf_library(<name> SOURCES ... LINK ...): a static library, or nothing when there are no sources.
# hf_program(<name> SOURCES ... LINK ... FOLDER ...): an executable in <build>/<FOLDER>.
# LINK may name hf_* libraries that do not exist; those are left out.

function(hf_link target scope)
  foreach(library IN LISTS ARGN)
    if(TARGET ${library} OR NOT library MATCHES "^hf")
      target_link_libraries(${target} ${scope} ${library})
    endif()
  endforeach()
endfunction()

# The parts of the system are POSIX programs. Actors are plain C17: they see no such interface.
function(hf_posix target)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
endfunction()

function(hf_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PURE" "" "SOURCES;LINK")
  if(NOT arg_SOURCES)
    return()
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE hf_flags)
  if(NOT arg_PURE)
    hf_posix(${name})
  endif()
  hf_link(${name} PUBLIC ${arg_LINK})
endfunction()

function(hf_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER;OUTPUT" "SOURCES;LINK")
  if(NOT arg_OUTPUT)
    set(arg_OUTPUT "${name}")
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME "${arg_OUTPUT}"
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${arg_FOLDER}")
  target_link_libraries(${name} PRIVATE hf_flags)
  hf_posix(${name})
  hf_link(${name} PRIVATE ${arg_LINK} Threads::Threads m)
endfunction()

# Everything but the server's main, for tests and benchmarks.
set(HF_EVERYTHING hf_server hf_client hf_store hf_link hf_http hf_web hf_actors hf_base hf_runtime
  hf::mbedtls)
