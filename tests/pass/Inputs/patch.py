# patch.py IN OUT OFFSET VALUE: overwrites a word of the note's head (see runtime/abi.h).
import struct
import sys

source, target, offset, value = sys.argv[1:]
data = bytearray(open(source, "rb").read())
head = data.index(b"Palisade\0\0\0\0") + 12
struct.pack_into("<I", data, head + int(offset), int(value))
open(target, "wb").write(data)
