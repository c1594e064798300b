# status.sh EXPECTED COMMAND...: succeeds when the command exits with that status.
expected=$1
shift
"$@" > /dev/null 2>&1
status=$?
[ "$status" = "$expected" ] || { echo "status $status instead of $expected: $*"; exit 1; }
