// main becomes __palisade_nf_main, the new one hands it to the runtime, whatever it declares.
// RUN: %clang_pass -O0 -DTHREE %s %ir | FileCheck --check-prefixes=CHECK,THREE %s
// RUN: %clang_pass -O2 -DTHREE %s %ir | FileCheck --check-prefixes=CHECK,THREE %s
// RUN: %clang_pass -O0 -DTWO %s %ir | FileCheck --check-prefixes=CHECK,THUNK,TWO %s
// RUN: %clang_pass -O0 -DNONE %s %ir | FileCheck --check-prefixes=CHECK,THUNK,NONE %s
// RUN: %clang_pass -O0 -DOTHER %s %ir | FileCheck --check-prefix=OTHER %s

// CHECK: define internal {{.*}}@__palisade_nf_main(
// THUNK: define internal {{.*}}i32 @__palisade_nf_main_thunk(i32 %0, ptr %1, ptr %2)
// TWO: call i32 @__palisade_nf_main(i32 %0, ptr %1)
// NONE: call i32 @__palisade_nf_main()
// CHECK: define {{.*}}i32 @main(i32 {{.*}}%0, ptr {{.*}}%1, ptr {{.*}}%2)
// THREE: tail call i32 @__palisade_start(i32 {{.*}}%0, ptr {{.*}}%1, ptr {{.*}}%2, ptr {{.*}}@__palisade_nf_main, i32 1)
// THUNK: tail call i32 @__palisade_start(i32 {{.*}}%0, ptr {{.*}}%1, ptr {{.*}}%2, ptr {{.*}}@__palisade_nf_main_thunk, i32 1)

// OTHER-NOT: __palisade_start
#if defined(THREE)
int main(int argc, char **argv, char **environment) { return argc + !argv + !environment; }
#elif defined(TWO)
int main(int argc, char **argv) { return argc + !argv; }
#elif defined(NONE)
int main(void) { return 0; }
#else
int other(void) { return 0; }
#endif
