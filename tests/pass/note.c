// The note is one per unit and survives what linkers and strip do.
// RUN: mkdir -p %t && %clang -shared -fPIC %inputs/stub.c -o %t/libpalisade.so -pthread
// RUN: %clang_pass -O2 -c %s -o %t/main.o
// RUN: %clang_pass -O2 -DOTHER -c %s -o %t/other.o
// RUN: rm -f %t/libother.a && llvm-ar rc %t/libother.a %t/other.o
// RUN: %clang -no-pie %t/main.o %t/libother.a -o %t/nf -L%t -lpalisade -Wl,-rpath,%t -Wl,--gc-sections
// RUN: llvm-readelf -n %t/nf | FileCheck %s
// RUN: %palisade report %t/nf | FileCheck --check-prefix=REPORT %s
// RUN: llvm-strip -s %t/nf -o %t/stripped
// RUN: %palisade report %t/stripped | FileCheck --check-prefixes=REPORT,STRIPPED %s
// RUN: llvm-objcopy --strip-sections %t/nf %t/bare
// RUN: %palisade report %t/bare | FileCheck --check-prefixes=REPORT,STRIPPED %s
// RUN: %clang -no-pie -fuse-ld=lld %t/main.o %t/libother.a -o %t/lld -L%t -lpalisade -Wl,--gc-sections
// RUN: %palisade report %t/lld | FileCheck --check-prefix=REPORT %s
// RUN: %clang_pass -O2 -flto -c %s -o %t/main.lto.o
// RUN: %clang_pass -O2 -flto -DOTHER -c %s -o %t/other.lto.o
// RUN: %clang -flto -no-pie -fuse-ld=lld %t/main.lto.o %t/other.lto.o -o %t/lto -L%t -lpalisade -Wl,--gc-sections
// RUN: %palisade report %t/lto | FileCheck --check-prefix=REPORT %s
// RUN: %t/nf

// CHECK-COUNT-2: Palisade

// Functions of one unit that another defines are not missing.
// REPORT: can be protected: everything in all its units is modelled.
// STRIPPED: The program is stripped: units compiled without Palisade cannot be told.
#ifdef OTHER
int other(void) { return 0; }
#else
int other(void);
int main(void) { return other(); }
#endif
