#!/usr/bin/env bash
# Checks the dependency tree with cargo-deny. Of another version than this one the same rules might say something else,
# so this version is built first (some minutes, once) where it is not installed; an installed one is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
own=.deps/cargo-deny-$version

if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
    [ -x "$own/bin/cargo-deny" ] || cargo install --locked --quiet --root "$own" "cargo-deny@$version"
    PATH=$PWD/$own/bin:$PATH
fi
# Without `advisories`: see deny.toml.
exec cargo-deny --workspace --log-level warn check bans licenses sources
