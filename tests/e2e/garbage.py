"""garbage packets|frames DEVICE SECONDS: sends damaged ones, a thousand a second or so.

packets   IPv4 and ARP towards the router, each a valid one with some bytes or its length changed
frames    Palisade's own (docs/protocol.md, "Frames"): other versions, kinds, sessions and epochs,
          wrong checksums and lengths, noise
"""

import random
import socket
import struct
import sys
import time

ETHERTYPE, VERSION, KINDS = 0x88B5, 1, range(1, 5)
ROUTER, CLIENT, SERVER = "10.1.0.1", "10.1.0.2", "10.2.0.2"


def packet(chance, router_mac, own_mac):
    kind = chance.choice((1, 6, 17))
    body = bytearray(chance.randbytes(chance.randrange(8, 80)))
    if kind == 1:
        body[0] = chance.choice((0, 3, 8, 11, 12))
        inner = ip(chance.choice((1, 6, 17)), SERVER, CLIENT, bytes(8))
        body[8:] = inner
    header = ip(kind, CLIENT, chance.choice((SERVER, ROUTER, "10.2.0.1")), body)
    frame = bytearray(router_mac + own_mac + struct.pack("!H", 0x0800) + header)
    if chance.random() < 0.1:
        frame[12:14] = struct.pack("!H", 0x0806)
    for _ in range(chance.randrange(4)):
        frame[chance.randrange(12, len(frame))] = chance.randrange(256)
    return bytes(frame[:chance.randrange(14, len(frame) + 1)])


def ip(protocol, source, destination, body):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + bytes(body)


def router_mac():
    with open("/proc/net/arp", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == ROUTER:
                return bytes.fromhex(words[3].replace(":", ""))
    sys.exit("garbage: the router is not known yet")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def crc_entry(value):
    for _ in range(8):
        value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value


CRC_TABLE = [crc_entry(value) for value in range(256)]


def frame(chance, own_mac):
    body = chance.randbytes(chance.randrange(200))
    damage = chance.choice(("version", "kind", "session", "checksum", "length", "noise"))
    version = chance.randrange(2, 256) if damage == "version" else VERSION
    kind = chance.choice((0, 5, 200)) if damage == "kind" else chance.choice(KINDS)
    length = len(body) + (chance.randrange(1, 4000) if damage == "length" else 0)
    header = struct.pack("<BBHHHIIQQI", version, kind, chance.randrange(4), length,
                         chance.randrange(4), chance.randrange(3), chance.randrange(1 << 32),
                         chance.randrange(1 << 20), chance.randrange(1 << 20),
                         chance.randrange(1 << 12))
    checksum = crc32c(header + bytes(4) + body)
    if damage == "checksum":
        checksum ^= 1 << chance.randrange(32)
    frame = header + struct.pack("<I", checksum) + body
    if damage == "noise":
        frame = chance.randbytes(chance.randrange(200))
    return b"\xff" * 6 + own_mac + struct.pack("!H", ETHERTYPE) + frame


def main():
    what, name, seconds = sys.argv[1:]
    chance = random.Random(1)
    device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    device.bind((name, 0))
    own_mac = device.getsockname()[4]
    router = router_mac() if what == "packets" else None
    end = time.monotonic() + float(seconds)
    sent = 0
    while time.monotonic() < end:
        device.send(packet(chance, router, own_mac) if router else frame(chance, own_mac))
        sent += 1
        time.sleep(0.0005)
    print(sent)


main()
