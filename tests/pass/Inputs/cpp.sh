# cpp.sh PALISADE_CC: C++ is refused with a sentence, however it is named.
for words in "-x c++ main.c" "-xc++ main.c" "--language=c++ main.c" a.cc a.cpp a.cxx a.C a.ii; do
    # shellcheck disable=SC2086 # words
    "$1" -c $words 2>said && exit 1
    grep -q "palisade-cc: C++ is not supported: .*: compile it with clang++" said || exit 1
done
