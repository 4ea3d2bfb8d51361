#!/usr/bin/env bash
# Refuses what STYLE and the layering forbid and no compiler flags. Output: file:line: rule: text.
# usage: hygiene.sh [ROOT]; the exceptions, with a reason each, are in allow.txt beside this file.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "${1:-$here/../..}"

# The files of the tree: what git would commit, or everything but build output without git.
list_files() {
  if [[ -e .git ]] && git ls-files --cached --others --exclude-standard 2> /dev/null; then
    return
  fi
  find . \( -path ./.git -o -path ./build -o -path ./data -o -name node_modules \) -prune \
    -o -type f -print | sed 's|^\./||'
}

# Rules over a whole file or folder; the awk programs look at lines.
check_final_newlines() {
  local file
  for file in "$@"; do
    if [[ -s $file && -n $(tail -c 1 "$file") ]]; then
      echo "$file:$(wc -l < "$file"): newline: the last line does not end"
    fi
  done
}
check_readmes() {
  local top
  for top in $(printf '%s\n' "$@" | grep / | grep -v '^\.' | cut -d/ -f1 | sort -u); do
    [[ -f $top/README.md ]] || echo "$top/README.md:1: readme: the folder has none"
  done
}

# The corpus of a fuzzer is input, not text.
mapfile -t files < <(list_files | grep -v '^tests/fuzz/corpus/' | while IFS= read -r file; do
  if [[ -f $file ]] && grep -Iq . "$file"; then echo "$file"; fi
done | sort -u)
if [[ ${#files[@]} -eq 0 ]]; then
  echo "hygiene: no files here: $PWD" >&2
  exit 2
fi
sources=()
for file in "${files[@]}"; do
  [[ $file == *.[ch] ]] && sources+=("$file")
done

# An awk that stops early must not look like a clean tree: its status is checked by pipefail.
findings=$(
  awk -f "$here/text.awk" "${files[@]}"
  if [[ ${#sources[@]} -gt 0 ]]; then awk -f "$here/c.awk" "${sources[@]}"; fi
  check_final_newlines "${files[@]}"
  check_readmes "${files[@]}"
)

# allow.txt: rule, path pattern (shell glob over the whole path), reason. An entry that allows
# nothing any more is itself a finding.
refused=0
rules=() globs=() used=() lines=()
number=0
while IFS= read -r line || [[ -n $line ]]; do
  number=$((number + 1))
  [[ -z $line || $line == \#* ]] && continue
  read -r rule glob reason <<< "$line"
  if [[ -z ${reason:-} ]]; then
    echo "tests/hygiene/allow.txt:$number: allow: an entry without a reason"
    refused=$((refused + 1))
    continue
  fi
  rules+=("$rule") globs+=("$glob") used+=(0) lines+=("$number")
done < "${HYGIENE_ALLOW:-$here/allow.txt}"

allowed() { # path rule
  local i
  for i in "${!rules[@]}"; do
    # The right side is a pattern on purpose.
    # shellcheck disable=SC2053
    if [[ ${rules[i]} == "$2" && $1 == ${globs[i]} ]]; then
      used[i]=1
      return 0
    fi
  done
  return 1
}

while IFS= read -r finding; do
  [[ -z $finding ]] && continue
  path=${finding%%:*}
  rule=${finding#*: }
  rule=${rule%%:*}
  if ! allowed "$path" "$rule"; then
    echo "$finding"
    refused=$((refused + 1))
  fi
done <<< "$findings"

for i in "${!rules[@]}"; do
  if [[ ${used[i]} -eq 0 ]]; then
    echo "tests/hygiene/allow.txt:${lines[i]}: allow: no finding is '${rules[i]} ${globs[i]}'"
    refused=$((refused + 1))
  fi
done

echo "hygiene: ${#files[@]} files, ${#sources[@]} of them C; $refused findings"
[[ $refused -eq 0 ]]
