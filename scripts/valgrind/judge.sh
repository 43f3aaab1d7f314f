#!/usr/bin/env bash
# Reads what memcheck wrote into a directory, one file for each process of Kamailio: prints every finding that has a frame of the module in
# it, whoever's fault it seems, and counts those that are Kamailio's own. Fails when there is one of the module, or when too few
# processes were looked at to say so.
#
#   scripts/valgrind/judge.sh DIRECTORY
set -euo pipefail
logs=("$1"/*.log)
[ "${#logs[@]}" -ge 20 ] || { echo "valgrind: only ${#logs[@]} processes in $1" >&2; exit 1; }
whole=$(grep -l 'ERROR SUMMARY' "${logs[@]}" | wc -l)
[ "$whole" -ge 20 ] || { echo "valgrind: only $whole of ${#logs[@]} processes came to their end" >&2; exit 1; }

# Findings are paragraphs, every line with the process in front; one has frames. Kamailio is written in C: a frame of a Rust file is ours.
sed -E 's/^==[0-9]+== ?//' "${logs[@]}" | awk -v whole="$whole" '
    BEGIN { RS = ""; FS = "\n" }
    !/\n +(at|by) 0x/ { next }
    /libtrunk\.so|trunk(_admission)?::|\.rs:[0-9]+\)/ { ours++; print; print ""; next }
    { others++ }
    END {
        printf "valgrind: %d processes; findings with a frame of the module: %d; of Kamailio alone: %d\n", whole, ours, others
        exit ours > 0
    }'
