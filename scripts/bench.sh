#!/usr/bin/env bash
# Prints the table of benchmarks: what was measured beside what is wanted, medians of five runs, and the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

benches=(decision slots digest counted publish)
# Built first, so that nothing compiles while something is measured.
cargo bench --quiet -p trunk-admission --no-run "${benches[@]/#/--bench=}"
cargo bench --quiet -p trunkd --no-run --bench writes

model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal:/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
cat <<TEXT
Machine: $(nproc) processors, ${model:-of an unknown model}, $memory, kernel $(uname -r); load $(cut -d' ' -f1-3 /proc/loadavg)
Each figure is the median of five runs, unless it says "worst" or is counted.

| what | measured | wanted, at most |
|---|---:|---:|
TEXT
for bench in "${benches[@]}"; do
    cargo bench --quiet -p trunk-admission --bench "$bench"
done
cargo bench --quiet -p trunkd --bench writes
