#!/usr/bin/env bash
# Runs the long proofs, or the named ones: interleavings timers. Each prints what its own runner says, and the time it took.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
proofs=("$@")
[ ${#proofs[@]} -gt 0 ] || proofs=(interleavings timers)

# Every interleaving of every lock-free protocol (loom), and that each named ordering is needed. Loom's atomics are not
# the machine's, so this is a build of its own.
proof_interleavings() {
    RUSTFLAGS='--cfg loom' cargo test --release -p trunk-admission --lib --target-dir "$target/loom" interleavings
}

# Endings that take Kamailio's own clean-up timer, which cannot be set below a minute and a half.
proof_timers() { cargo test -p trunk-kamailio --test kamailio -- --ignored; }

for proof in "${proofs[@]}"; do
    echo "== proof: $proof"
    begin=$SECONDS
    "proof_$proof"
    echo "== proof: $proof: $((SECONDS - begin)) s"
done
