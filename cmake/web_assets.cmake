# The library hf_web: the static files of web/ as constant data. Its header is
# cmake/web_assets/web_assets.h. Works with an empty or missing folder.

function(hf_web_library root)
  set(patterns "")
  foreach(extension html css js json svg png ico txt)
    list(APPEND patterns "${root}/*.${extension}")
  endforeach()
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${root}" ${patterns})
  list(SORT files)
  list(TRANSFORM files PREPEND "${root}/" OUTPUT_VARIABLE inputs)

  # A tool of the build host: our warnings, none of the instrumentation of what it helps to build.
  add_executable(hf_embed "${PROJECT_SOURCE_DIR}/cmake/web_assets/embed.c")
  target_compile_options(hf_embed PRIVATE -Wall -Wextra)

  set(output "${PROJECT_BINARY_DIR}/generated/web_assets.c")
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/generated")
  add_custom_command(OUTPUT "${output}"
    COMMAND hf_embed "${output}" "${root}" ${files}
    DEPENDS hf_embed ${inputs}
    COMMENT "Embedding web/"
    VERBATIM)
  hf_library(hf_web SOURCES "${output}")
  set_target_properties(hf_web PROPERTIES C_CLANG_TIDY "") # nobody wrote it
  target_include_directories(hf_web PUBLIC "${PROJECT_SOURCE_DIR}/cmake/web_assets")
endfunction()

hf_web_library("${PROJECT_SOURCE_DIR}/web")
