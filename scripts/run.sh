#!/usr/bin/env bash
# Runs trunkd and Kamailio on this machine, over SQLite in STATE_DIR, until Ctrl-C or until one of them ends.
#
# A development profile: loopback, private addresses allowed for webhooks. It writes trunkd.toml and an example trunk
# when they are absent and must never overwrite either. Works as root and as an ordinary user.
#
# STATE_DIR (./var)  SIP_ADDR (127.0.0.1:5060)  API_ADDR (127.0.0.1:8080)
set -euo pipefail
cd "$(dirname "$0")/.."

state=$(realpath -m "${STATE_DIR:-./var}")
sip=${SIP_ADDR:-127.0.0.1:5060}
api=${API_ADDR:-127.0.0.1:8080}
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
target=$built/release
module=$built/module/libtrunk.so
# One directory in memory per STATE_DIR, so that two of them can run side by side: what trunkd and the module share, and
# the calls that Kamailio has up.
memory=/dev/shm/trunkline-$(id -u)-$(printf '%s' "$state" | cksum | cut -d' ' -f1)
shm=$memory/trunk
run=$state/run
conf=$state/trunkd.toml
trunkd_pid= kamailio_pid=

die() { printf 'run: %s\n' "$*" >&2; exit 1; }
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# Ends one process and waits until it is gone; one that does not go is killed.
stop() {
    local pid=$1 tries=0
    alive "$pid" || return 0
    kill -TERM "$pid" 2>/dev/null || true
    while alive "$pid" && [ "$tries" -lt 150 ]; do tries=$((tries + 1)); sleep 0.1; done
    alive "$pid" && kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# Kamailio first: what it says about the calls it ends still finds its reader.
finish() {
    trap - EXIT INT TERM
    printf '\nStopping.\n'
    stop "$kamailio_pid"
    stop "$trunkd_pid"
    rm -f "$run/stack"
}

# Whether somebody listens on SIP_ADDR already, over UDP or TCP. The kernel writes addresses as words, last byte first.
sip_in_use() {
    local a b c d address= port
    printf -v port %04X "${sip##*:}"
    IFS=. read -r a b c d <<<"${sip%:*}"
    # For 0.0.0.0, or a name, any address with this port is in the way.
    [[ "$a$b$c$d" =~ [^0-9]|^0+$ ]] || printf -v address %02X%02X%02X%02X "$d" "$c" "$b" "$a"
    awk -v port="$port" -v address="$address" '
        FNR > 1 && (FILENAME ~ /udp/ || $4 == "0A") {
            split($2, at, ":")
            if (at[2] == port && (address == "" || at[1] ~ /^0+$/ || at[1] ~ (address "$"))) used = 1
        }
        END { exit !used }' $(ls /proc/net/{udp,tcp}{,6} 2>/dev/null)
}

# A session of its own keeps Ctrl-C from reaching the process before us; it ends with this script in any case.
spawn() { local log=$1; shift; setsid setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null & }

fresh_log() { [ ! -s "$1" ] || mv -f "$1" "$1.before"; : >"$1"; }

# $1 pid, $2 log, $3 name, then a condition: waits for it as long as the process lives.
await() {
    local pid=$1 log=$2 name=$3 tries=0
    shift 3
    until "$@"; do
        alive "$pid" || { tail -n 20 "$log" >&2; die "$name did not start; its log is $log"; }
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || die "$name is not ready after half a minute; its log is $log"
        sleep 0.1
    done
}

trunkd_ready() { grep -q 'trunkd ready' "$state/log/trunkd.log"; }

# One OPTIONS, one answer. cat, because it hands the whole datagram over in one write.
sip_ready() {
    local answer
    { exec 3<>"/dev/udp/${sip%:*}/${sip##*:}"; } 2>/dev/null || return 1
    printf '%s\r\n' "OPTIONS sip:${sip} SIP/2.0" "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK$RANDOM$RANDOM;rport" \
        "From: <sip:run@localhost>;tag=$RANDOM" "To: <sip:${sip}>" "Call-ID: ready-$RANDOM$RANDOM" \
        "CSeq: 1 OPTIONS" "Max-Forwards: 5" "Content-Length: 0" "" >"$run/options"
    cat "$run/options" >&3 2>/dev/null || { exec 3>&-; return 1; }
    answer=$(timeout 1 dd bs=65535 count=1 <&3 2>/dev/null | head -n 1 | tr -d '\r') || true
    exec 3>&-
    [ "$answer" = "SIP/2.0 200 OK" ]
}

write_config() {
    mkdir -p "$state"/{trunks.d,data,log,run}
    mkdir -p -m 0750 "$memory"
    [ -O "$memory" ] || die "$memory belongs to somebody else"
    chmod 0750 "$state"
    [ -e "$conf" ] || cat >"$conf" <<TOML
# Written once by \`make run\`, for development; yours to change. Every key: \`trunkd default-config\`.

[node]
name = "dev"
region = "US"
base_domain = "sip.example.net"
inbound_host = "in.sip.example.net"
# Voice applications that are called from this machine. Never open this where customers can set their sources.
dangerous_allow_private_sources = true

[shm]
dir = "$shm"

[state]
dir = "$state/data"

[api]
listen = "$api"

[files]
trunks = "$state/trunks.d"

[kamailio]
rpc_socket = "$run/kamailio_rpc.sock"

# Webhook receivers on this machine. Never open these two where customers can set a URL.
[webhooks]
dangerous_allow_private_addresses = true
dangerous_allow_http = true
TOML
    [ -n "$(ls -A "$state/trunks.d")" ] || cat >"$state/trunks.d/example.toml" <<'TOML'
# A trunk: calls to <number>@acme.sip.example.net from this machine go to the gateway below.
# Change something, then: kill -HUP <pid of trunkd>. The next call obeys.

[[account]]
accountId = "acme-inc"
name = "Acme Inc."

[[trunk]]
trunkId = "acme"
accountId = "acme-inc"
name = "Acme, main line"
concurrentCallsLimit = 10
cpsLimit = 2

[[trunk.ipAcls]]
ipAddress = "127.0.0.1"
description = "this machine"

[[trunk.originationUris]]
uri = "sip:127.0.0.1:5090"
priority = 10
weight = 10
description = "a gateway of yours"
TOML
}

[ -x "$target/trunkd" ] && [ -r "$module" ] || die "not built yet: make build"
# A Unix socket's path has an end.
[ ${#run} -lt 80 ] || die "STATE_DIR is too long for a socket inside it: $state"
[ ! -e "$run/stack" ] || ! alive "$(sed -n 's/^trunkd_pid=//p' "$run/stack")" || die "already running in $state"

if sip_in_use; then
    ! systemctl is-active --quiet kamailio.service 2>/dev/null ||
        die "SIP_ADDR $sip is in use: the packaged kamailio.service is running (systemctl stop kamailio), or take another SIP_ADDR"
    die "SIP_ADDR $sip is in use by another program; take another one, such as: make run SIP_ADDR=127.0.0.1:5070"
fi

write_config
"$target/trunkd" check-config --config "$conf" >"$state/log/check-config.log" 2>&1 || {
    cat "$state/log/check-config.log" >&2
    die "the configuration is not good"
}
sqlite3 "$memory/dialogs.sqlite" <schema/kamailio/dialog.sql >/dev/null

trap finish EXIT
trap 'exit 0' INT TERM

fresh_log "$state/log/trunkd.log"
spawn "$state/log/trunkd.log" "$target/trunkd" run --config "$conf"
trunkd_pid=$!
await "$trunkd_pid" "$state/log/trunkd.log" trunkd trunkd_ready
api=$(sed -n 's/.*trunkd ready.* api=\([^ ]*\).*/\1/p' "$state/log/trunkd.log" | tail -n 1)

fresh_log "$state/log/kamailio.log"
# -x fm: the packaged default allocator spends half of all processor time in itself.
spawn "$state/log/kamailio.log" kamailio -DD -E -x fm -m 256 -M 64 -f kamailio.cfg -w "$run" \
    -A "LISTEN_UDP=udp:$sip" -A "LISTEN_TCP=tcp:$sip" -A WORKERS=4 -A LOG_LEVEL=1 \
    -A "TRUNK_MODULE=\"$module\"" -A "SHM_DIR=\"$shm\"" -A "RUN_DIR=\"$run\"" \
    -A "DIALOG_DB=\"sqlite:///$memory/dialogs.sqlite\""
kamailio_pid=$!
await "$kamailio_pid" "$state/log/kamailio.log" Kamailio sip_ready

# What `make demo` and other tools need to know about this instance.
printf '%s\n' "trunkd_pid=$trunkd_pid" "kamailio_pid=$kamailio_pid" "sip=$sip" "api=$api" \
    "trunks=$state/trunks.d" "config=$conf" "rpc=$run/kamailio_rpc.sock" >"$run/stack.new"
mv "$run/stack.new" "$run/stack"

cat <<TEXT
Trunkline is up. Ctrl-C stops it.

  SIP          $sip (UDP and TCP)
  API          http://$api
  trunks       $state/trunks.d
  settings     $conf
  logs         $state/log
TEXT
[ ! -e "$state/data/admin-token" ] || echo "  admin token  $state/data/admin-token"
cat <<TEXT

Next, in a second terminal:

  make demo                             real calls through it: admitted, refused, failing over
  TRUNKLINE_URL=http://$api $target/trunkctl --token-file $state/data/admin-token trunk list
  curl http://$api/metrics    what it counts
  kill -HUP $trunkd_pid                    after a change in $state/trunks.d

TEXT
wait -n "$trunkd_pid" "$kamailio_pid" || true
if ! alive "$trunkd_pid"; then tail -n 5 "$state/log/trunkd.log" >&2; die "trunkd has ended by itself"; fi
tail -n 5 "$state/log/kamailio.log" >&2
die "Kamailio has ended by itself"
