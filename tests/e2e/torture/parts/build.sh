#!/bin/sh
# build.sh BIN OUT FLAGS...: parts, parts-plan and parts-lto into BIN, with its palisade-cc; what is made on the way into
# OUT. As docs/pass.md says, "Whole programs".
set -eu
bin=$(cd "$1" && pwd) && mkdir -p "$2" && out=$(cd "$2" && pwd)
shift 2
cd "$(dirname "$0")"

# units DIRECTORY AR FLAGS...: the objects and the library.
units()
{
    mkdir -p "$1"
    directory=$1 ar=$2
    shift 2
    for unit in main lanes ticks ledger lock; do
        "$bin/palisade-cc" -O2 "$@" -c $unit.c -o "$directory/$unit.o"
    done
    rm -f "$directory/libledger.a"
    "$ar" rc "$directory/libledger.a" "$directory/ledger.o" "$directory/lock.o"
}

# link PROGRAM DIRECTORY FLAGS...
link()
{
    program=$bin/$1 directory=$2
    shift 2
    "$bin/palisade-cc" -O2 "$@" "$directory/main.o" "$directory/lanes.o" "$directory/ticks.o" \
        "$directory/libledger.a" -o "$program"
}

units "$out/plain" ar "$@"
link parts "$out/plain"

"$bin/palisade" report --plan "$bin/parts" >"$out/parts.plan"
units "$out/plan" ar "$@" --palisade-plan="$out/parts.plan"
link parts-plan "$out/plan"

units "$out/lto" "$("$bin/palisade-cc" --palisade-ar)" "$@" -flto
link parts-lto "$out/lto" -flto
