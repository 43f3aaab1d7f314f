#!/usr/bin/env bash
# Installs what Trunkline needs and is not there yet: Debian packages, and the headers of the installed Kamailio.
#
#   scripts/deps.sh            packages and headers
#   scripts/deps.sh headers    headers only
#   scripts/deps.sh npm        npm, for one of the proofs
#   scripts/deps.sh valgrind   valgrind, for another
#   scripts/deps.sh phone      a SIP client of somebody else, for the end-to-end tests
#
# Runs as root or through sudo. When everything is present it starts no package manager and needs no network.
# It must never change the machine's apt sources or package lists: sources are fetched through private ones.
#
# KAMAILIO_SRC=DIR  use this Kamailio source tree instead of fetching one.
set -euo pipefail
cd "$(dirname "$0")/.."

# kamailio holds all modules that kamailio.cfg loads, except db_sqlite and tls; clang's library is what bindgen reads the
# headers with; dpkg-dev unpacks the source package; sqlite3 creates the dialog database; sip-tester is sipp; openssl makes
# the certificate of a test; ca-certificates is what trunkd judges webhook receivers by; strace counts system calls; python3-venv holds
# the tool that fuzzes the API.
packages=(
    kamailio kamailio-sqlite-modules kamailio-tls-modules
    build-essential pkg-config clang libclang-dev
    dpkg-dev sqlite3 sip-tester openssl ca-certificates curl python3-venv strace
)

say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
    else die "need root for: $* (no sudo here)"; fi
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
    local missing=() name had_kamailio=yes
    for name in "${packages[@]}"; do installed "$name" || missing+=("$name"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    installed kamailio || had_kamailio=no

    say "installing ${missing[*]}"
    as_root apt-get update -q || say "apt-get update reported a problem; trying with what it has"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    # The package starts a proxy of its own on port 5060, which `make run` wants. One that was there before us stays.
    if [ "$had_kamailio" = no ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --now kamailio.service || say "could not stop the packaged kamailio.service"
    fi
}

# Writes into $1 the machine's own Debian sources with `deb` turned into `deb-src`, in the form each was found in.
# Third-party archives are left out by their suite: a Debian one is the release's codename (or alias) and its pockets.
derive_sources() {
    local out=$1 codename list parts file count=0 base
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    base="${codename:-stable}|stable|oldstable|testing|unstable|sid"
    local suite="^(${base})(-updates|-security|-backports|-proposed-updates|/updates)?\$"
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"

    for file in "$list" "${parts%/}"/*.list; do
        [ -r "$file" ] || continue
        count=$((count + 1))
        awk -v suite="$suite" '
            $1 != "deb" { next }
            { at = 2; if ($2 ~ /^\[/) while (at <= NF && $(at) !~ /\]$/) at++; if ($2 ~ /^\[/) at++ }
            $(at + 1) ~ suite { sub(/deb/, "deb-src"); print }' "$file" >"$out/$count.list"
    done
    for file in "${parts%/}"/*.sources; do
        [ -r "$file" ] || continue
        count=$((count + 1))
        awk -v suite="$suite" '
            BEGIN { RS = ""; FS = "\n" }
            /(^|\n)Enabled:[ \t]*(no|false)/ { next }
            {
                keep = 0; deb = 0; text = ""; field = ""
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^#/) continue
                    value = $i
                    if ($i ~ /^[A-Za-z-]+:/) { field = tolower($i); sub(/:.*/, "", field); sub(/^[^:]*:/, "", value) }
                    n = split(value, word, " ")
                    for (w = 1; w <= n; w++) {
                        if (field == "types" && word[w] == "deb") deb = 1
                        if (field == "suites" && word[w] ~ suite) keep = 1
                    }
                    if (field != "types") text = text $i "\n"
                }
                if (keep && deb) print "Types: deb-src\n" text
            }' "$file" >"$out/$count.sources"
    done
    find "$out" -type f -size 0 -delete
    [ -n "$(ls -A "$out")" ] || die "no Debian archive among the machine's apt sources; set KAMAILIO_SRC"
}

# The module is built from the headers of exactly the Kamailio that will load it.
fetch_headers() {
    if [ -n "${KAMAILIO_SRC:-}" ]; then
        [ -r "$KAMAILIO_SRC/src/core/sr_module.h" ] || die "KAMAILIO_SRC=$KAMAILIO_SRC has no src/core/sr_module.h"
        return 0
    fi
    installed kamailio || die "kamailio is not installed"
    local source upstream target
    source=$(dpkg-query -W -f='${source:Version}' kamailio)
    upstream=${source#*:}
    upstream=${upstream%-*}
    upstream=${upstream%%+*}
    target=.deps/kamailio-$upstream
    [ -r "$target/src/core/sr_module.h" ] && return 0

    say "fetching the headers of kamailio $source"
    # Not `local`: the trap runs when the function has returned.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work"/{sources,lists/partial,cache/archives/partial,package,tree}
    derive_sources "$work/sources"
    # A pinned snapshot may be past its date: what is fetched is one version that is already installed, checked by hash.
    # Downloads into a directory of ours cannot be made by apt's own user.
    local apt=(apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources"
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
    "${apt[@]}" update >"$work/apt.log" 2>&1 || say "one of the archives has no sources; trying the others"
    (cd "$work/package" && "${apt[@]}" source --download-only "kamailio=$source") >>"$work/apt.log" 2>&1 || {
        cat "$work/apt.log" >&2
        die "no archive of this machine has the source of kamailio $source; set KAMAILIO_SRC"
    }
    # apt has checked the hashes against the signed index; dpkg-source has no key ring to check again.
    dpkg-source --no-check -x "$work"/package/*.dsc "$work/kamailio" >>"$work/apt.log" 2>&1
    # Headers, the file that states the version, and the licence they come under.
    (cd "$work/kamailio" && { find src -name '*.h'; printf '%s\n' src/Makefile.defs COPYING; } | tar -cf - -T -) |
        tar -xf - -C "$work/tree"
    mkdir -p .deps
    rm -rf "$target"
    cp -r "$work/tree" "$target.new"
    mv "$target.new" "$target"
    say "headers are in $target"
}

case "${1:-all}" in
    all) install_packages; fetch_headers ;;
    headers) fetch_headers ;;
    phone) packages=(baresip-core); install_packages ;;
    valgrind) packages=(valgrind); install_packages ;;
    npm) command -v npm >/dev/null || { packages=(nodejs npm); install_packages; } ;;
    *) die "unknown argument: $1" ;;
esac
