# The flags of every target, as the interface library hf_flags.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Objects of a library do not wait for the libraries below it.
set(CMAKE_OPTIMIZE_DEPENDENCIES ON)

add_library(hf_flags INTERFACE)
target_include_directories(hf_flags INTERFACE
  "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
target_link_options(hf_flags INTERFACE LINKER:--as-needed)

target_compile_options(hf_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wformat=2 -Wimplicit-fallthrough -Wundef -Wcast-qual
  -fno-omit-frame-pointer)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  # string-conversion: CHECK(!"why this cannot be") is meant. implicit-fallthrough: uthash's macros
  # fall through with comments only; gcc reads those and checks the same sources.
  target_compile_options(hf_flags INTERFACE -Wno-string-conversion -Wno-implicit-fallthrough)
endif()
if(HF_WERROR)
  target_compile_options(hf_flags INTERFACE -Werror)
endif()

# _FORTIFY_SOURCE is on in dev as well as in release, so that the must-check warnings which it
# brings are seen before a release is built. It hides bugs from the sanitizers: not with them.
if(HF_HARDEN)
  target_compile_options(hf_flags INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
  target_link_options(hf_flags INTERFACE LINKER:-z,relro,-z,now)
endif()

if(HF_SANITIZE)
  target_compile_options(hf_flags INTERFACE
    "-fsanitize=${HF_SANITIZE}" -fno-sanitize-recover=all)
  target_link_options(hf_flags INTERFACE "-fsanitize=${HF_SANITIZE}")
endif()

if(HF_COVERAGE)
  target_compile_options(hf_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(hf_flags INTERFACE --coverage)
endif()

if(HF_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT hf_lto_works OUTPUT hf_lto_why LANGUAGES C)
  if(hf_lto_works)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  else()
    message(STATUS "link-time optimisation is off: ${hf_lto_why}")
  endif()
endif()

# The rules are copied to a name made of what they say: ninja knows commands by their text, so that
# another rule is another command, and every source is looked at again.
if(HF_LINT)
  find_program(HF_CLANG_TIDY clang-tidy REQUIRED)
  set(rules "${PROJECT_SOURCE_DIR}/.clang-tidy")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${rules}")
  file(SHA256 "${rules}" version)
  string(SUBSTRING "${version}" 0 12 version)
  configure_file("${rules}" "${PROJECT_BINARY_DIR}/clang-tidy-${version}.yml" COPYONLY)
  set(CMAKE_C_CLANG_TIDY "${HF_CLANG_TIDY}" --quiet
    "--config-file=${PROJECT_BINARY_DIR}/clang-tidy-${version}.yml")
endif()
