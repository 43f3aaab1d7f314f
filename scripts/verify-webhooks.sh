#!/usr/bin/env bash
# Has 10,000 random payloads, signed as trunkd signs events, verified by the public Standard Webhooks libraries for Python,
# JavaScript and Rust, which are installed below the target directory. VERIFY_PAYLOADS sets how many.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=1.1.0
npm_version=1.1.1
crate_version=1.0.1
count=${VERIFY_PAYLOADS:-10000}
python=$target/verify-webhooks/python-$version
node=$target/verify-webhooks/node-$npm_version

if [ ! -e "$python/installed" ]; then
    rm -rf "$python"
    /usr/bin/python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check "standardwebhooks==$version"
    touch "$python/installed"
fi
if [ ! -e "$node/installed" ]; then
    rm -rf "$node"
    mkdir -p "$node"
    (cd "$node" && npm install --silent --no-fund --no-audit --prefix . "standardwebhooks@$npm_version")
    touch "$node/installed"
fi
rust=$target/verify-webhooks/rust-$crate_version
mkdir -p "$rust"
cat >"$rust/Cargo.toml" <<TOML
[package]
name = "verify-webhooks"
version = "0.0.0"
edition = "2024"
[dependencies]
http = "1"
serde_json = "1"
standardwebhooks = "=$crate_version"
[[bin]]
name = "verify-webhooks"
path = "$PWD/scripts/verify-webhooks/verify.rs"
[profile.dev]
opt-level = 1
[workspace]
TOML
cargo build --quiet --manifest-path "$rust/Cargo.toml" --target-dir "$rust/target"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo run --quiet -p trunkd --example sign_payloads -- "$count" >"$work/signed"
"$python/bin/python" scripts/verify-webhooks/verify.py <"$work/signed"
VERIFY_MODULES=$node node scripts/verify-webhooks/verify.mjs <"$work/signed"
"$rust/target/debug/verify-webhooks" <"$work/signed"
