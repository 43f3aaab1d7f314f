#!/usr/bin/env bash
# Runs the long proofs, or the named ones: interleavings timers hammer torn deaths prefixes files churn starts webhooks loss flood chaos; valgrind
# only when it is named.
# Each prints what its own runner says, and the time it took. What `make test` proves shortly, these prove at length: some half an hour for
# all of them on two processors; with NIGHT=1 some hours.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
proofs=("$@")
[ ${#proofs[@]} -gt 0 ] || proofs=(interleavings timers hammer torn deaths prefixes files churn starts webhooks loss flood chaos)

# $1 by day, $2 by night.
amount() { if [ -n "${NIGHT:-}" ]; then echo "$2"; else echo "$1"; fi; }

# Every interleaving of every lock-free protocol (loom), and that each named ordering is needed. Loom's atomics are not
# the machine's, so this is a build of its own.
proof_interleavings() {
    RUSTFLAGS='--cfg loom' cargo test --release -p trunk-admission --lib --target-dir "$target/loom" interleavings
}

# Endings that take Kamailio's own clean-up timer, which cannot be set below a minute and a half.
proof_timers() { cargo test -p trunk-kamailio --test kamailio -- --ignored; }

# Eight processes after the same limits: attempts. More would want gigabytes for the log that is judged.
proof_hammer() {
    TRUNK_PROOF_ATTEMPTS=100000000 TRUNK_PROOF_TWINS=$(amount 2000000 20000000) \
        cargo test -p trunk-admission --test processes -- eight_processes two_processes
}

# Six readers of a table that is published without pause: seconds.
proof_torn() {
    TRUNK_PROOF_SECONDS=$(amount 240 3600) cargo test -p trunk-admission --test processes -- readers
}

# A publisher dies after every single store: times.
proof_deaths() {
    TRUNK_PROOF_DEATHS=$(amount 500 5000) \
        cargo test -p trunk-admission --features crash-points --test crashes -- a_dead_publisher
}

# The longest prefix against a look at all of them: addresses.
proof_prefixes() {
    TRUNKLINE_PREFIX_CASES=$(amount 10000000 100000000) cargo test -p trunk-admission --test it -- prefixes
}

# Files that nobody of ours wrote: cases.
proof_files() {
    TRUNK_PROOF_FILES=$(amount 240000 10000000) cargo test -p trunk-admission --test hostile
}

# Writes in a stream beside calls: how many, at 10,000 a minute.
proof_churn() {
    scripts/build.sh
    TRUNKLINE_CHURN_WRITES=$(amount 10000 100000) cargo test -p e2e --test e2e -- churn
}

# Kamailio starts over random configurations near the limits that trunkd was given: how many.
proof_starts() {
    scripts/build.sh
    TRUNKLINE_STARTS=$(amount 60 1000) cargo test -p e2e --test e2e -- kamailio_starts
}

# Every call is told to its end, whoever is killed: kills beside 200 calls a second; and no call waits for a trunkd that stands still or
# cannot write, or for receivers that never answer: seconds.
proof_loss() {
    scripts/build.sh
    TRUNKLINE_KILLS=$(amount 30 1000) TRUNKLINE_KILLS_RATE=200 cargo test -p e2e --test e2e -- loss
    TRUNKLINE_STANDSTILL_S=$(amount 60 180) cargo test -p e2e --test e2e -- standstill
}

# Strangers' INVITEs, 20,000 a second or as many as the machine gives, beside honest callers: seconds. Prints what came of the honest calls and what
# Kamailio used.
proof_flood() {
    scripts/build.sh
    TRUNKLINE_FLOOD_SECONDS=$(amount 60 600) cargo test -p e2e --test e2e -- --nocapture a_flood_of_strangers
}

# The module under memcheck, with every scenario and every case, refusals, torture messages and a phone. It shows what the module does with its stack, its own heap, what it hands to system calls, and
# addresses that are nobody's. It does not show what happens inside Kamailio's pools or in our shared memory: those are one block each to
# it. What Kamailio does by itself is counted and not judged, so that nothing has to be suppressed.
proof_valgrind() {
    scripts/deps.sh valgrind
    scripts/build.sh
    local logs
    logs=$(mktemp -d)
    VALGRIND_LOGS=$logs PATH=$PWD/scripts/valgrind:$PATH cargo test -p e2e --test e2e -- --test-threads=1 \
        scenarios:: cases:: refusals:: phone:: applications::an_ torture::every gateways::when_every
    scripts/valgrind/judge.sh "$logs"
    rm -rf "$logs"
}

# Random calls, random deaths, and what must hold after each round: minutes.
proof_chaos() {
    scripts/build.sh
    MINUTES=${MINUTES:-$(amount 5 60)} cargo run -p e2e --bin chaos
}

# Signatures that the public libraries must accept, the days of 10,000 events, and others' delays beside a dead endpoint.
proof_webhooks() {
    scripts/deps.sh npm
    VERIFY_PAYLOADS=$(amount 10000 100000) scripts/verify-webhooks.sh
    TRUNKLINE_DAYS_EVENTS=$(amount 10000 100000) cargo test -p trunkd --test it -- days
    TRUNKLINE_ALONE=1 cargo test -p trunkd --test it -- isolation
}

for proof in "${proofs[@]}"; do
    echo "== proof: $proof"
    begin=$SECONDS
    "proof_$proof"
    echo "== proof: $proof: $((SECONDS - begin)) s"
done
