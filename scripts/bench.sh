#!/usr/bin/env bash
# Prints the benchmark tables.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo bench --quiet -p trunk-admission --bench decision --bench publish
