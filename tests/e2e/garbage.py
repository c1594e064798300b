"""garbage SECONDS SEED: sends damaged packets from eth0, each a valid one with some bytes or its
length changed."""

import random
import socket
import struct
import sys
import time

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


def main():
    chance = random.Random(int(sys.argv[2]))
    device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    device.bind(("eth0", 0))
    own_mac = device.getsockname()[4]
    end = time.monotonic() + float(sys.argv[1])
    sent = 0
    target = router_mac()
    while time.monotonic() < end:
        device.send(packet(chance, target, own_mac))
        sent += 1
        time.sleep(0.0005)
    print(sent)


main()
