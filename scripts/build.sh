#!/usr/bin/env bash
# Builds everything as it is released: trunkd and trunkctl into release/, the module into module/ of the target directory. Options are
# handed to both builds.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p trunkd "$@"
cargo build --profile module -p trunk-kamailio "$@"
