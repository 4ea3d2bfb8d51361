# text.awk - the rules for every text file. Prints "file:line: rule: text".

function report(rule, text) { printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, text }

function finish() {
  if (name == "") return
  if (name ~ /\.(c|h|js|sh|awk|cmake)$/ && lines > 700)
    printf "%s:%d: file-length: %d lines; 700 are allowed\n", name, lines, lines
  if (name ~ /^([^\/]+\/)?README\.md$/ && lines > 150)
    printf "%s:%d: readme: %d lines; 150 are allowed\n", name, lines, lines
}

FNR == 1 { finish(); name = FILENAME }
{ lines = FNR }

/\r$/ { report("line-end", "carriage return") }
/[ \t]+$/ && FILENAME !~ /\.md$/ { report("blank", "blanks at the end of the line") }
# Two blanks at the end are a line break in Markdown.
/\t$/ && FILENAME ~ /\.md$/ { report("blank", "tab at the end of the line") }
/^ *\t/ && FILENAME ~ /\.(c|h|js|sh|cmake|json|css|html)$/ { report("tab", "tab in the indent") }
/(^|[^A-Za-z0-9_])(FIXME|TODO|XXX|HACK)([^A-Za-z0-9_]|$)/ { report("mark", "unfinished work") }
/(^|[^A-Za-z0-9_.~\/-])\/(work|root)\// { report("machine", "a path of one machine") }
/(^|[^A-Za-z0-9_.~\/-])\/home\/[a-z]/ { report("machine", "a path of one machine") }

FILENAME ~ /\.(c|h|js|sh|awk|cmake|css|py)$/ || FILENAME ~ /(^|\/)(CMakeLists\.txt|dev|run)$/ {
  line = $0
  gsub(/[\200-\277]/, "", line) # count characters, not bytes of UTF-8
  if (length(line) > 100) report("line-length", length(line) " columns; 100 are allowed")
}

END { finish() }
