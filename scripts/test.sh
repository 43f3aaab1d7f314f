#!/usr/bin/env bash
# Runs the whole suite, or the named phases of it: fmt lint deny unit crashes panics e2e fuzz. Each phase prints what its
# own runner says, and the time it took. Stops at the first phase that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
phases=("$@")
[ ${#phases[@]} -gt 0 ] || phases=(fmt lint deny unit crashes panics e2e fuzz)

phase_fmt() { cargo fmt --all --check; }
phase_lint() {
    cargo clippy --quiet --workspace --all-targets -- -D warnings
    cargo clippy --quiet -p trunk-admission --features crash-points --test crashes -- -D warnings
    cargo clippy --quiet -p trunkd --features crash-points --test it -- -D warnings
    cargo clippy --quiet -p trunk-kamailio --features panic-points --all-targets -- -D warnings
}
phase_deny() { scripts/deny.sh; }
phase_unit() { cargo test --workspace --exclude e2e; }

# A process dies at each step of each protocol of the shared memory, and of each write; the crash points are in no other build.
phase_crashes() {
    cargo test -p trunk-admission --features crash-points --test crashes
    cargo test -p trunkd --features crash-points --test it crashes
}

# The module panics on request, and counts its use of the heap; neither is in any other build.
phase_panics() { cargo test -p trunk-kamailio --features panic-points --test kamailio; }

# The end-to-end tests run the released binaries, and beside them a module that panics on request, which is built into a
# directory of its own so that nobody takes it for the released one. Of the callers one is a phone that only they need.
phase_e2e() {
    scripts/deps.sh phone
    scripts/build.sh
    cargo build --profile module -p trunk-kamailio --features panic-points --target-dir "$target/panic-points"
    cargo test -p e2e
}

# Whatever the API's description allows, and much that it does not, asked of the released trunkd.
phase_fuzz() {
    scripts/build.sh
    scripts/fuzz-api.sh
}

for phase in "${phases[@]}"; do
    echo "== $phase"
    begin=$SECONDS
    "phase_$phase"
    echo "== $phase: $((SECONDS - begin)) s"
done
