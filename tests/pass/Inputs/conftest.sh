# conftest.sh COMPILER: asks what configure scripts ask of a C compiler, prints the answers.
cc=$1
flags="-g -O2"

# question NAME COMMAND...
question() {
    name=$1
    shift
    if "$@" >conftest.log 2>&1; then echo "$name: yes"; else echo "$name: no"; fi
}
link() {
    printf '%s\n' "$1" >conftest.c
    shift
    # shellcheck disable=SC2086 # flags are words
    rm -f conftest && "$cc" -o conftest $flags conftest.c "$@" && test -s conftest
}
compile() {
    printf '%s\n' "$1" >conftest.c
    shift
    # shellcheck disable=SC2086
    rm -f conftest.o && "$cc" -c $flags "$@" conftest.c && test -s conftest.o
}
run() {
    link "$@" && ./conftest
}
# As if nobody knew its prototype.
has() {
    link "#undef $1
char $1 (void);
int main (void) { return $1 (); }" -w
}

for word in --version -v -V -qversion -version; do question "$word" "$cc" $word; done
printf 'int main (void) { return 0; }\n' >conftest.c
question "default output" "$cc" conftest.c
for file in a.out conftest.o; do test -f $file && echo "left: $file" && rm -f $file; done
question "runs" run "int main (void) { return 0; }"
question "exit status" sh -c './conftest; test $? = 0'
question "prints" run '#include <stdio.h>
int main (void) { FILE *f = fopen ("conftest.out", "w"); return ferror (f) || fclose (f) != 0; }'
question "-g" compile "int main (void) { return 0; }" -g
question "no such flag" compile "int main (void) { return 0; }" -fno-such-flag
question "C11" compile '#include <stdatomic.h>
_Static_assert (1, ""); _Noreturn void f (void) { for (;;); } _Alignas (8) int a;' -std=gnu11
question "syntax error" compile "int main (void) { return"
printf "int main (void) { return 0; }\n" >conftest.c
question "-c -o" "$cc" -c conftest.c -o conftest2.o
question "dependencies" "$cc" -c conftest.c -MT conftest.o -MD -MP -MF conftest.d
question "header" "$cc" -E conftest.c
printf '#include <no/such.h>\n' >conftest.c
question "missing header" "$cc" -E conftest.c
question "missing header, compiled" "$cc" -c conftest.c
for function in malloc memcpy printf fork vfork pthread_create pthread_mutex_lock clock_gettime poll recvmmsg \
    epoll_create getrandom select strlcpy no_such_function; do
    question "$function" has $function
done
question "-lpthread" link "char pthread_create (void); int main (void) { return pthread_create (); }" -w -lpthread
question "-lno-such" link "int main (void) { return 0; }" -lno-such
question "-rdynamic -Wl" link "int main (void) { return 0; }" -rdynamic -Wl,-z,relro -Wl,--as-needed
question "size, by compiling" compile "int main (void) { static int a[1 - 2 * (sizeof (long) != 8)]; return a[0] = 0; }"
question "big endian" compile '#include <sys/param.h>
#if BYTE_ORDER != BIG_ENDIAN
#error not
#endif'
printf 'int deep (int x) { return x + 1; }\n' >conftest.c
question "PIC" "$cc" -c -g -O2 -fPIC -DPIC conftest.c -o conftest.lo
question "shared library" "$cc" -shared -fPIC -DPIC conftest.lo -lpthread -g -O2 -Wl,-soname -Wl,libconf.so -o libconf.so
question "uses it" run "int deep (int); int main (void) { return deep (1) != 2; }" -L. -lconf -Wl,-rpath,"$PWD"
question "archive" sh -c "rm -f libc2.a; ar cr libc2.a conftest.lo && ranlib libc2.a && nm libc2.a | grep -q 'T deep'"
question "from an archive" run "int deep (int); int main (void) { return deep (1) != 2; }" libc2.a
question "partial link" "$cc" -r -nostdlib -o conftest3.o conftest.lo
question "linker" "$cc" -print-prog-name=ld
question "search dirs" "$cc" -print-search-dirs
question "machine" sh -c "test \$('$cc' -dumpmachine) = x86_64-pc-linux-gnu"
