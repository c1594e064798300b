"""many.py COUNT UNIT: a unit with COUNT locks, each around a variable of its own; unit 0 has main."""
import sys

count, unit = int(sys.argv[1]), int(sys.argv[2])
print("#include <pthread.h>")
for i in range(count):
    print(f"{'extern ' if unit else ''}pthread_mutex_t lock{i};")
    print(f"{'extern ' if unit else ''}long guarded{i};")
print("void *other(void *argument);")
print("void *other(void *argument)\n{" if unit else "static void *worker(void *argument)\n{")
for i in range(count):
    print(f"    pthread_mutex_lock(&lock{i});\n    guarded{i}++;\n    pthread_mutex_unlock(&lock{i});")
print("    return argument;\n}")
if unit == 0:
    print("int main(void)\n{\n    pthread_t thread;")
    print("    pthread_create(&thread, 0, worker, 0);\n    pthread_create(&thread, 0, other, 0);")
    print("    return 0;\n}")
