#!/bin/bash
# Both loggers with a toy NF (stub_nf) in network namespaces: traffic from world 0 to world 1 while
# masters are killed and replaced. Needs root.
#   tests/e2e/loggers.sh BUILD-DIRECTORY [KILLS [ethernet|tun|tap]]
#
#   w0 --[p0]  IL and OL in $box  [p1]-- w1        m, b: one namespace for each NF process,
#                |         |                       two link devices each
#             i<n>        o<n>
#
# With tun or tap, p0 and p1 are such devices, and the world is the kernel of $box: what it routes into
# p0 comes back to it from p1.
set -u
build=${1:?usage: loggers.sh BUILD-DIRECTORY [KILLS [ethernet|tun|tap]]}
kills=${2:-4}
ports=${3:-ethernet}
rate=${RATE:-20000}
count=${COUNT:-120000}
id=pal-xdp-$$
box=$id-box w0=$id-w0 w1=$id-w1
# Journals in memory: a disk that stalls for seconds under others' load would stall the daemons.
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
state=$(mktemp -d)
failed=0
children=()

cleanup() {
    for child in "${children[@]}"; do kill -9 "$child" 2>/dev/null; done
    wait 2>/dev/null
    for space in $box $w0 $w1 $(seq -f "$id-nf%g" 0 9); do ip netns del "$space" 2>/dev/null; done
    [ $failed = 0 ] && rm -rf "$scratch" "$state" || echo "left: $scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

check() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1: wanted $2, got $3"; failed=1; fi
}
# Not for the background: `$!` of a function is a subshell's pid.
in_ns() { local space=$1; shift; nsenter --net=/run/netns/"$space" "$@"; }
wait_for() { # FILE WORD: at most 5 s
    for _ in $(seq 250); do grep -q -- "$2" "$1" 2>/dev/null && return 0; sleep 0.02; done
    echo "FAIL no \"$2\" in $1: $(tail -3 "$1")"; failed=1; return 1
}
event_count() { grep -c "\"event\":\"$2\"" "$1"; }

for space in $box $w0 $w1; do
    ip netns add "$space" || exit 77
    in_ns "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    in_ns "$space" ip link set lo up
done
world=($w0 eth0 $w1 eth0) setting=
for n in 0 1; do
    if [ "$ports" != ethernet ]; then
        in_ns $box ip tuntap add dev p$n mode "$ports" multi_queue || exit 77
        in_ns $box ip link set p$n txqueuelen 20000 up
        world=($box p0 $box p1 "$ports") setting=,$ports
        continue
    fi
    end=$([ $n = 0 ] && echo $w0 || echo $w1)
    ip link add p$n netns $box numrxqueues 2 numtxqueues 2 type veth peer name eth0 netns "$end" \
        numrxqueues 1 numtxqueues 1
    in_ns $box ip link set p$n up
    in_ns "$end" ip link set eth0 up
done
nf_space() { # N: namespace and links of the n-th NF process
    local n=$1 space=$id-nf$1
    ip netns add "$space"
    in_ns "$space" ip link set lo up
    for kind in i o; do
        local net
        [ $kind = i ] && net=1 || net=2
        ip link add $kind$n netns $box mtu 3400 type veth peer name $kind netns "$space" mtu 3400
        in_ns $box ip addr add 10.77.$((n * 4 + net)).1/24 dev $kind$n
        in_ns "$space" ip addr add 10.77.$((n * 4 + net)).2/24 dev $kind
        in_ns $box ip link set $kind$n up
        in_ns "$space" ip link set $kind up
    done
}
slots=4
links_i=() links_o=()
for n in $(seq 0 $((slots - 1))); do
    nf_space "$n"
    links_i+=(--link i$n)
    links_o+=(--link o$n)
done

start_logger() { # il|ol OPTIONS...
    local which=$1; shift
    local name=palisade-input-logger links=("${links_i[@]}")
    [ "$which" = ol ] && name=palisade-output-logger links=("${links_o[@]}")
    : >"$scratch/$which.err"
    nsenter --net=/run/netns/$box "$build/bin/$name" --port lan=p0$setting --port wan=p1$setting "${links[@]}" --state "$state" \
        --journal "$scratch/$which.journal" "$@" 2>>"$scratch/$which.err" &
    children+=($!)
    eval "${which}_pid=$!"
    wait_for "$scratch/$which.err" ready
}
start_nf() { # SLOT ROLE [IDENTITY]: sets nf_pid
    nsenter --net=/run/netns/$id-nf$1 "$build/bin/stub_nf" "$2" "${3:-same build}" i 10.77.$(($1 * 4 + 1)).1 \
        o 10.77.$(($1 * 4 + 2)).1 2>"$scratch/nf$1.err" &
    nf_pid=$!
    children+=($nf_pid)
}

start_logger il
start_logger ol
STUB_CLAIMANT=77 start_nf 0 master; master=$nf_pid; master_slot=0
wait_for "$scratch/nf0.err" ready
start_nf 1 backup; backup=$nf_pid; backup_slot=1
wait_for "$scratch/nf1.err" ready

# Refusals while a master reigns.
start_nf 2 master; wait $nf_pid; check "a second master is refused" 67 $?
start_nf 2 backup "other build"; wait $nf_pid; check "another build is refused" 69 $?
check "with both identities" 1 "$(grep -c 'same build.*other build' "$scratch/nf2.err")"
start_nf 2 backup; wait $nf_pid; check "a second backup is refused" 67 $?
start_nf 1 master; wait $nf_pid; check "a link device in use is refused" 67 $?

traffic() { # COUNT
    "$build/bin/stub_traffic" "${world[@]:0:4}" "$1" "$rate" "${world[@]:4}" >"$scratch/traffic.json"
}
"$build/bin/stub_traffic" "${world[@]:0:4}" "$count" "$rate" "${world[@]:4}" >"$scratch/traffic.json" & load=$!
children+=($load)
sleep 0.6

# How masters are lost, in turn.
#   kill  kill -9              stop  SIGSTOP: only its silence tells; awake again it must be fenced
#   late  kill -9 while no backup is there; one comes half a second later
#   both  kill -9, and the backup that hangs in the middle of its takeover
ways=(kill stop late both)
next_slot() { # a slot whose NF process is gone
    for _ in $(seq $slots); do
        backup_slot=$(((backup_slot + 1) % slots))
        [ $backup_slot != $master_slot ] && return
    done
}
start_backup() {
    next_slot
    start_nf $backup_slot backup; backup=$nf_pid
    wait_for "$scratch/nf$backup_slot.err" "$1"
}
stopped=
for ((kill_number = 1; kill_number <= kills; kill_number++)); do
    way=${ways[$(((kill_number - 1) % ${#ways[@]}))]}
    sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
    case $way in
    kill) kill -9 "$master"; wait "$master" 2>/dev/null ;;
    stop) kill -STOP "$master"; stopped=$master ;;
    late)
        kill -9 "$backup"; wait "$backup" 2>/dev/null
        sleep 0.1
        kill -9 "$master"; wait "$master" 2>/dev/null
        sleep 0.5
        start_backup ready ;;
    both)
        kill -9 "$backup"; wait "$backup" 2>/dev/null
        sleep 0.1
        STUB_STALL=1 start_backup ready
        kill -9 "$master"; wait "$master" 2>/dev/null
        wait_for "$scratch/nf$backup_slot.err" stalled
        kill -9 "$backup"; wait "$backup" 2>/dev/null
        start_backup ready ;;
    esac
    wait_for "$scratch/nf$backup_slot.err" live || break
    if [ $way = stop ]; then
        kill -CONT $stopped; wait $stopped
        check "a master that was stopped is fenced" 73 $?
    fi
    master=$backup master_slot=$backup_slot
    [ $kill_number = "$kills" ] && break
    sleep 0.1
    start_backup ready || break
    sleep 0.3
done
wait $load; check "$kills kills: nothing lost, doubled, reordered; stamps in order" 0 $?
cat "$scratch/traffic.json"

next_slot
STUB_CLAIMANT=77 start_nf $backup_slot master; wait $nf_pid
check "who lost its reign never gets it back" 73 $?

# A normal end: no takeover, and the next master starts afresh.
kill -TERM "$master"; wait "$master"; check "normal end of the master" 0 $?
sleep 0.2
check "takeovers" "$kills" "$(event_count "$scratch/ol.journal" go)"
for which in il ol; do
    check "$which saw a normal end" 1 "$(event_count "$scratch/$which.journal" master_ended)"
done
start_nf $backup_slot master; master=$nf_pid
wait_for "$scratch/nf$backup_slot.err" ready
sleep 0.5
traffic 10000
check "a master after it starts afresh" 0 $?
kill -TERM "$master"; wait "$master"; check "and ends, too" 0 $?
sleep 0.2
kill -USR1 $il_pid $ol_pid
kill -TERM $il_pid; wait $il_pid; check "input logger ends" 0 $?
kill -TERM $ol_pid; wait $ol_pid; check "output logger ends" 0 $?
# Of two lines the one written last.
epoch_of() { sort -n -k5 "$state/$1.epoch" | tail -1 | cut -d' ' -f3; }
epoch=$(epoch_of palisade-output-logger)
more=$(grep -c '"event":"takeover"' "$scratch/ol.journal") # a backup that died took an epoch too
check "epoch on disk" $((more + 2)) "$epoch"
check "both loggers agree" "$epoch" "$(epoch_of palisade-input-logger)"

# Whoever dies leaves the device as it was, and whoever comes gets its place again: all packets go to
# the input logger, in every order.
queues() { in_ns $box ip -d link show p0 | grep -oE 'numqueues [0-9]+ numdisabled [0-9]+'; }
again() { # NAME: a new master serves; then everything is as before
    start_nf $backup_slot master; master=$nf_pid
    wait_for "$scratch/nf$backup_slot.err" ready
    check "$1: only the input logger is handed packets" "numqueues 1 numdisabled 1" "$(queues)"
    traffic 5000; check "$1: all packets pass" 0 $?
    kill -TERM "$master"; wait "$master"
    sleep 0.2
}
if [ "$ports" != ethernet ]; then
    check "the devices outlive both" "numqueues 0 numdisabled 0" "$(queues)"
    start_logger ol
    check "an output logger alone" "numqueues 0 numdisabled 1" "$(queues)"
    start_logger il
    again "input logger last"
    in_ns $box ip link set p1 down
    start_nf $backup_slot master; master=$nf_pid
    wait_for "$scratch/nf$backup_slot.err" ready
    traffic 200; check "a device that is down loses packets" 1 $?
    wait_for "$scratch/ol.journal" port_down
    check "told once" 1 "$(event_count "$scratch/ol.journal" port_down)"
    in_ns $box ip link set p1 up
    kill -TERM "$master"; wait "$master"
    sleep 0.2
    again "up again"
    kill -9 $ol_pid; wait $ol_pid 2>/dev/null
    check "output logger killed" "numqueues 1 numdisabled 0" "$(queues)"
    start_logger ol
    again "output logger again"
    kill -9 $il_pid; wait $il_pid 2>/dev/null
    check "input logger killed" "numqueues 0 numdisabled 1" "$(queues)"
    start_logger il
    again "input logger again"
    mkdir "$scratch/second"
    nsenter --net=/run/netns/$box "$build/bin/palisade-input-logger" --port lan=p0$setting --link i0 \
        --state "$scratch/second" 2>"$scratch/second.err"
    check "a second reader is refused" 67 $?
    nsenter --net=/run/netns/$box python3 - "$ports" <<'EOF' & stranger=$!
import fcntl, os, struct, sys, time
flags = {"tun": 0x1, "tap": 0x2}[sys.argv[1]] | 0x1100  # IFF_NO_PI, IFF_MULTI_QUEUE
for device in (b"p0", b"p1"):
    fcntl.ioctl(os.open("/dev/net/tun", os.O_RDWR), 0x400454CA, struct.pack("16sH22x", device, flags))
time.sleep(60)
EOF
    children+=($stranger)
    for _ in $(seq 100); do [[ $(queues) = "numqueues 2 "* ]] && break; sleep 0.05; done
    start_nf $backup_slot master; master=$nf_pid
    wait_for "$scratch/nf$backup_slot.err" ready
    check "a stranger is there" "numqueues 2 numdisabled 1" "$(queues)"
    traffic 5000; check "a stranger is handed nothing" 0 $?
    kill -TERM "$master"; wait "$master"
    kill $stranger; wait $stranger 2>/dev/null
    kill -9 $il_pid $ol_pid; wait $il_pid $ol_pid 2>/dev/null
fi

# Nobody to take over: the daemon says so and ends if it was told to.
alone() { # NAME COMMITTED [OPTION]: a master lost alone, after or before its first commit
    rm -f "$scratch/ol.journal"
    start_logger ol --exit-without-backup ${3:-}
    start_nf 0 master; master=$nf_pid
    if [ "$2" = yes ]; then
        wait_for "$scratch/ol.journal" image_committed
    else
        wait_for "$scratch/ol.journal" welcome
        kill -STOP "$master" # before its snapshot, if it is quick; a commit in between is no harm
    fi
    kill -9 "$master"; wait "$master" 2>/dev/null
    wait $ol_pid; check "$1: exit status" 75 $?
    check "$1: one sentence" 1 "$(grep -cE 'no backup is attached|nothing can be recovered' "$scratch/ol.err")"
}
start_logger il
alone "no backup" yes
start_logger ol
start_nf 0 master; wait $nf_pid; check "its state is not given up by itself" 67 $?
check "said how to" 1 "$(grep -c -- --forget "$scratch/nf0.err")"
kill -TERM $ol_pid; wait $ol_pid
alone "no backup and no image" no --forget
check "a person gave it up" 1 "$(event_count "$scratch/ol.journal" forgotten)"

[ $failed = 0 ] && echo "loggers.sh: all passed"
exit $failed
