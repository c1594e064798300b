#!/bin/bash
# Wires between two network namespaces, and what the loggers refuse. Needs root.
#   tests/e2e/wire.sh BUILD-DIRECTORY
set -u
build=${1:?usage: wire.sh BUILD-DIRECTORY}
frames=${FRAMES:-100000}
a=pal-xdp-$$-a
b=pal-xdp-$$-b
scratch=$(mktemp -d)
failed=0
children=()

cleanup() {
    for child in "${children[@]}"; do kill -9 "$child" 2>/dev/null; done
    wait 2>/dev/null
    ip netns del $a 2>/dev/null
    ip netns del $b 2>/dev/null
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

check() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1: wanted $2, got $3"; failed=1; fi
}

alive() { # NAME PID
    kill -0 "$2" 2>/dev/null
    check "$1" 0 $?
    kill -0 "$2" 2>/dev/null || cat "$scratch/err"
}

# Prefixes, not functions: `$!` of a function in the background would be a subshell's pid.
in_a="nsenter --net=/run/netns/$a"
in_b="nsenter --net=/run/netns/$b"

refused() { # NAME STATUS WORD COMMAND...: status and a word of the sentence
    local name=$1 status=$2 word=$3
    shift 3
    timeout 20 "$@" >"$scratch/out" 2>&1
    check "$name: status" "$status" $?
    if ! grep -q -- "$word" "$scratch/out"; then
        echo "FAIL $name: no \"$word\" in: $(cat "$scratch/out")"
        failed=1
    fi
}

ip netns add $a && ip netns add $b || exit 77
ip link add link0 netns $a mtu 3400 type veth peer name link0 netns $b mtu 3400
ip link add port0 netns $a numrxqueues 2 numtxqueues 2 type veth peer name world0 netns $b \
    numrxqueues 1 numtxqueues 1
ip link add narrow netns $a type veth peer name narrow netns $b
for device in lo link0 port0 narrow; do $in_a ip link set $device up; done
for device in lo link0 world0 narrow; do $in_b ip link set $device up; done
mac_a=$($in_a ip -o link show link0 | sed 's/.*ether \([^ ]*\).*/\1/')
mac_b=$($in_b ip -o link show link0 | sed 's/.*ether \([^ ]*\).*/\1/')

peer=$build/bin/wire_peer

# 1. Both ways at once, every frame once and in order.
$in_a "$peer" link0 0 "$mac_b" "$frames" & one=$!
children+=($one)
$in_b "$peer" link0 0 "$mac_a" "$frames" & two=$!
children+=($two)
wait $one; check "$frames frames a -> b -> a, first end" 0 $?
wait $two; check "$frames frames a -> b -> a, second end" 0 $?

# 2. A killed owner's queue and program are free again without help.
$in_a "$peer" link0 0 "$mac_b" 1000000 >/dev/null & one=$!
children+=($one)
sleep 0.5
refused "queue held by another process" 67 "queue 0 of device link0" \
    nsenter --net=/run/netns/$a "$peer" link0 0 "$mac_b" 1
kill -9 $one; wait $one 2>/dev/null
$in_a "$peer" link0 0 "$mac_b" 1000000 >/dev/null 2>"$scratch/err" & one=$!
children+=($one)
sleep 1.5
alive "after kill -9 the queue is free" $one
# Who comes before it is free waits for it.
$in_a "$peer" link0 0 "$mac_b" 1000000 >/dev/null 2>"$scratch/err" & two=$!
children+=($two)
sleep 1
kill -9 $one; wait $one 2>/dev/null
sleep 2
alive "a queue that is busy for a second is waited for" $two
kill -9 $two; wait $two 2>/dev/null

# 3. The loggers' refusals.
for logger in palisade-input-logger palisade-output-logger; do
    daemon=$build/bin/$logger
    run=(nsenter --net=/run/netns/$a "$daemon")
    good=(--port lan=port0 --link link0 --state "$scratch/state")
    refused "$logger: unknown option" 64 "unrecognized option" "${run[@]}" "${good[@]}" --sate x
    refused "$logger: mistyped value" 64 "not a number" "${run[@]}" "${good[@]}" --memory 12x
    refused "$logger: mistyped port" 64 "NAME=DEVICE" "${run[@]}" "${good[@]}" --port port0
    refused "$logger: no link" 64 "--link" "${run[@]}" --port lan=port0 --state "$scratch/state"
    refused "$logger: missing port device" 66 "nowhere0 does not exist" \
        "${run[@]}" --port lan=nowhere0 --link link0 --state "$scratch/state"
    refused "$logger: missing link device" 66 "nowhere1 does not exist" \
        "${run[@]}" --port lan=port0 --link nowhere1 --state "$scratch/state"
    refused "$logger: link with a small MTU" 66 "MTU" \
        "${run[@]}" --port lan=port0 --link narrow --state "$scratch/state"
    refused "$logger: missing queue" 66 "no queue 9" "${run[@]}" "${good[@]}" --queue 9
    refused "$logger: state not writable" 71 "state file" \
        "${run[@]}" --port lan=port0 --link link0 --state /proc/palisade
    refused "$logger: no privilege" 76 "root" \
        nsenter --net=/run/netns/$a setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
        --reuid=65534 --clear-groups "$daemon" --port lan=port0 --link link0 --state /tmp/x
    journal=$scratch/$logger.journal
    "${run[@]}" "${good[@]}" --journal "$journal" 2>"$scratch/err" & one=$!
    children+=($one)
    for _ in $(seq 50); do grep -q ready "$scratch/err" && break; sleep 0.1; done
    refused "$logger: started twice" 67 "" "${run[@]}" "${good[@]}"
    kill -USR1 $one; sleep 0.3
    kill -TERM $one; wait $one; check "$logger: clean end" 0 $?
    check "$logger: journal is JSON lines with two sets of counters" 2 \
        "$(python3 -c 'import json,sys; print(sum(json.loads(l)["event"]=="counters" for l in open(sys.argv[1])))' "$journal")"
done

[ $failed = 0 ] && echo "wire.sh: all passed"
exit $failed
