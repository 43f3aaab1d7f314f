#!/usr/bin/env bash
# Asks a trunkd of its own whatever its OpenAPI document allows, and much that it does not: no answer may be a server
# error, and every answer must be one that the document names. The tool is schemathesis, in a virtual environment below
# the target directory. FUZZ_EXAMPLES requests are tried of each operation (20).
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=4.32.5
tool=$target/fuzz-api/$version

if [ ! -x "$tool/bin/schemathesis" ]; then
    rm -rf "$tool"
    /usr/bin/python3 -m venv "$tool"
    "$tool/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

work=$(mktemp -d)
trunkd=
clean() {
    if [ -n "$trunkd" ]; then
        kill "$trunkd" 2>/dev/null || true
        wait "$trunkd" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean EXIT

mkdir "$work/trunks.d"
cat >"$work/trunkd.toml" <<TOML
[node]
base_domain = "sip.example.net"
inbound_host = "in.sip.example.net"
[shm]
dir = "$work/shm"
[state]
dir = "$work/state"
[api]
listen = "127.0.0.1:0"
token_rate = 100000
token_burst = 100000
address_rate = 100000
address_burst = 100000
[files]
trunks = "$work/trunks.d"
TOML
"$target/release/trunkd" run --config "$work/trunkd.toml" >"$work/log" 2>&1 &
trunkd=$!
until grep -q 'trunkd ready' "$work/log"; do
    kill -0 "$trunkd" || { cat "$work/log"; exit 1; }
    sleep 0.1
done
api=$(grep -m1 'trunkd ready' "$work/log" | grep -o 'api=[0-9.:]*' | cut -d= -f2)

# What the tool remembers between runs goes with the rest.
cd "$work"
# As served, but that nobody waits for news: the tool takes a long poll for a server that hangs.
"$tool/bin/python3" - "http://$api/openapi.json" > openapi.json <<'EDIT'
import json, sys, urllib.request
document = json.load(urllib.request.urlopen(sys.argv[1]))
waits = [p for p in document["paths"]["/v1/events"]["get"]["parameters"] if p["name"] == "waitSeconds"]
waits[0]["schema"]["maximum"] = 0
json.dump(document, sys.stdout)
EDIT
"$tool/bin/schemathesis" run openapi.json --url "http://$api/" \
    --header "Authorization: Bearer $(cat "$work/state/admin-token")" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth \
    --phases examples,coverage,fuzzing --max-examples "${FUZZ_EXAMPLES:-20}" --seed 1 --workers 1 \
    --continue-on-failure --warnings off --no-color

kill -0 "$trunkd" || { echo "fuzz-api: trunkd has died"; tail -20 "$work/log"; exit 1; }
if grep -q 'panicked' "$work/log"; then
    echo "fuzz-api: trunkd has panicked"
    grep -A5 'panicked' "$work/log"
    exit 1
fi
