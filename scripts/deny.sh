#!/usr/bin/env bash
# Checks the dependency tree with cargo-deny, which is built first (some minutes, once) where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-deny >/dev/null || cargo install --locked --quiet cargo-deny
# Without `advisories`: see deny.toml.
exec cargo deny --workspace --log-level warn check bans licenses sources
