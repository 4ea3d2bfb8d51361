# c.awk - the rules for C sources. Prints "file:line: rule: text" for each finding; hygiene.sh takes
# out what allow.txt allows. Runs under LC_ALL=C, one or more files per call.
#
# Works on each line with comments and the insides of literals blanked out, so that prose about
# malloc is not a call of malloc.

function report(rule, text) { printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, text }

# The line without comments; literals become "" and ''. `in_comment` lives from line to line.
function code_of(line,    out, c, two, quote) {
  out = ""
  while (line != "") {
    if (in_comment) {
      c = index(line, "*/")
      if (c == 0) return out
      in_comment = 0
      line = substr(line, c + 2)
      continue
    }
    c = substr(line, 1, 1)
    two = substr(line, 1, 2)
    if (two == "//") return out
    if (two == "/*") { in_comment = 1; line = substr(line, 3); out = out " "; continue }
    if (c == "\"" || c == "'") {
      quote = c
      line = substr(line, 2)
      while (line != "") {
        c = substr(line, 1, 1)
        if (c == "\\") { line = substr(line, 3); continue }
        line = substr(line, 2)
        if (c == quote) break
      }
      out = out quote quote
      continue
    }
    out = out c
    line = substr(line, 2)
  }
  return out
}

# Does `code` call one of names (a|b|c)? Members (x->free, x.time) are not the libc function, and
# neither is a declaration of one: those do not exist outside of system headers.
function calls(code, names) {
  return code ~ ("(^|[^A-Za-z0-9_.>])(" names ")[ ]*\\(")
}
function called(code, names) {
  match(code, "(^|[^A-Za-z0-9_.>])(" names ")[ ]*\\(")
  code = substr(code, RSTART, RLENGTH)
  gsub(/[^A-Za-z0-9_]/, "", code)
  return code "()"
}
function check_calls(rule, code, names) {
  if (calls(code, names)) report(rule, called(code, names))
}

function word(pattern) { return "(^|[^A-Za-z0-9_])" pattern "([^A-Za-z0-9_]|$)" }

# A path in quotes, seen from `FILENAME`: which folders may it come from?
function check_layer(path, quoted,    top, from, ok) {
  top = FILENAME; sub(/\/.*/, "", top)
  from = path; sub(/\/.*/, "", from)
  if (!quoted) return
  if (path !~ /\//) return # a neighbour in the same folder
  if (path ~ /^\.\./) { report("layer", "\"" path "\": name it from the root"); return }
  ok = 1
  if (top == "include" || top == "clients") ok = from == "holdfast"
  else if (top == "runtime") ok = from ~ /^(holdfast|runtime)$/
  else if (top == "actors") ok = from ~ /^(holdfast|actors)$/
  else if (top == "adapters") ok = from ~ /^(holdfast|runtime|actors|adapters)$/
  else if (top == "server") ok = from ~ /^(holdfast|runtime|actors|adapters|server)$/
  if (path == "cmake/web_assets/web_assets.h") ok = top ~ /^(adapters|server)$/
  if (!ok) report("layer", top "/ includes \"" path "\"")
}

function function_end() {
  if (in_function && FNR - function_line + 1 > 70)
    printf "%s:%d: function: %d lines; 70 are allowed\n", FILENAME, function_line,
      FNR - function_line + 1
  in_function = 0
}

BEGIN {
  names["heap"] = "malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf"
  names["clock"] = "time|clock|clock_gettime|gettimeofday|localtime|mktime|" \
    "uv_now|uv_hrtime|uv_update_time"
  names["random"] = "rand|srand|rand_r|random|srandom|drand48|getrandom|getentropy|" \
    "uv_random|randombytes_buf|randombytes_random|randombytes_uniform|hf_random_bytes"
  names["sleep"] = "sleep|usleep|nanosleep|clock_nanosleep|uv_sleep|thrd_sleep"
  names["banned"] = "strcpy|strcat|stpcpy|strncpy|strncat|sprintf|vsprintf|gets|strtok|" \
    "strtok_r|atoi|atol|atoll|atof|sscanf|scanf|alloca|system|tmpnam|mktemp|assert"
  names["disabled"] = "skip"
}

FNR == 1 { in_comment = 0; in_function = 0; previous = "" }

{
  raw = $0
  was_comment = in_comment
  code = code_of(raw)
}

!was_comment && raw ~ /^[ ]*#[ ]*include/ {
  path = raw
  sub(/^[ ]*#[ ]*include[ ]*/, "", path)
  quoted = path ~ /^"/
  path = substr(path, 2)
  sub(/[">].*/, "", path)
  check_layer(path, quoted)
  if (path ~ /^uv(\/.*)?(\.h)?$/) report("uv", "<" path ">")
  if (path ~ /^(sqlite3\.h|libpq-fe\.h|hiredis\/|mbedtls\/|curl\/)/)
    report("driver-header", "<" path ">")
  if (path ~ /\.c$/) report("include-c", path)
  previous = raw
  next
}

{
  for (rule in names) check_calls(rule, code, names[rule])
  if (code ~ /^[ ]*#[ ]*if[ ]+0/) report("disabled", "#if 0")
  if (code ~ word("token")) report("word", "\"token\" alone; say which one")
  if (FILENAME ~ /^actors\// && code ~ word("(float|double)"))
    report("float", "floating point in actors/")
}

# A function's body is a brace on its own line in column 1 (or, in the other brace style, ends the
# line of the signature) up to the next closing brace in column 1.
code ~ /^\{[ ]*$/ && previous ~ /[)a-zA-Z_][ ]*$/ { in_function = 1; function_line = FNR }
code ~ /^[a-zA-Z_].*\)[ ]*\{[ ]*$/ { in_function = 1; function_line = FNR }
code ~ /^\}/ { function_end() }
code !~ /^[ ]*$/ { previous = code }
