#!/usr/bin/env bash
# What sim_run is told wrongly it says, by the option's name, and a run of no seed is no success.
set -u
sim=$HOLDFAST_BUILD/sim_run
failed=0

# refuses TEXT OPTION...: exit code 2, and TEXT in what it says.
refuses() {
  local text=$1 said code
  shift
  said=$("$sim" "$@" 2>&1)
  code=$?
  if [[ $code != 2 || $said != *"$text"* ]]; then
    printf 'sim_run %s: code %s, without "%s":\n%s\n' "$*" "$code" "$text" "$said"
    failed=1
  fi
}

refuses 'no seed was run' --seeds 0
refuses '--seed takes a number' --seed -1
refuses "--seed takes a number from 0 to 18446744073609551614, not ''" --seed ''
refuses '--seed takes a number' --seed 0x10
refuses '--seed takes a number' --seed 18446744073709551616
refuses '--nodes takes a number from 0 to 5' --nodes 9
refuses '--ops takes a number from 1 to 100000' --ops 0
refuses '--jobs takes a number from 1 to 64' --jobs 0
refuses '--seconds takes a number' --seconds 0
refuses '--minutes takes a number' --minutes
refuses "no option '--bogus'" --bogus
refuses '--list takes the name of a file' --list
refuses '/nowhere/seeds: No such file' --list /nowhere/seeds

said=$("$sim" --seed 3 --seeds 2 --ops 20 --nodes 1)
if ! [[ $said =~ ^seeds\ 2\ ok\ trace\ [0-9a-f]{16}$ ]]; then
  echo 'sim_run: two small seeds do not end as they should'
  failed=1
fi
exit "$failed"
