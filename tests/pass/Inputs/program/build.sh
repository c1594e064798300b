# build.sh DIRECTORY LIB-OF-PALISADE PALISADE-CC CLANG: a place with palisade-cc and the stub runtime.
# build.sh DIRECTORY FLAGS...: builds the program there, with those flags in every step.
set -e
inputs=$(cd "$(dirname "$0")/.." && pwd)
directory=$1
shift
if [ "${1#/}" != "$1" ]; then
    rm -rf "$directory"
    mkdir -p "$directory/bin" "$directory/lib"
    cp "$2" "$directory/bin/palisade-cc"
    ln -s "$1"/PalisadePass.so "$1"/llvm-* "$directory/lib/"
    cp "$1/palisade-lto.h" "$directory/lib/"
    "$3" -shared -fPIC -DPROGRAM "$inputs/stub.c" -o "$directory/lib/libpalisade.so" -pthread
    exit
fi
cd "$directory"
[ -d src ] || cp -r "$inputs/program" src
rm -f ./*.o ./*.a
for unit in main worker clock setup guard guarded; do
    bin/palisade-cc -Werror "$@" -O2 -c src/$unit.c -o $unit.o
done
${AR:-$(bin/palisade-cc --palisade-ar)} rc libguard.a guard.o guarded.o
bin/palisade-cc -Werror "$@" -O2 main.o worker.o clock.o setup.o libguard.a -o nf
