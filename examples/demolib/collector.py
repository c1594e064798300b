"""A collector of NetFlow version 5: keeps every record by its sequence number."""

import socket
import struct
import threading

from .processes import socket_inside

HEADER = struct.Struct("!HHIIIIBBH")
RECORD = struct.Struct("!4s4s4sHHIIIIHHBBBBHHBBH")
RECEIVE_BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33


class Collector:
    def __init__(self, namespace, address, port):
        self.records = {}  # sequence: bytes of the record
        self.repeated = self.contradicted = 0  # datagrams
        self.lock = threading.Lock()  # guards all of the above
        self.socket = socket_inside(namespace, socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self.socket.bind((address, port))
        self.socket.settimeout(0.1)
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended:
            try:
                datagram = self.socket.recv(65536)
            except TimeoutError:
                continue
            with self.lock:
                self._take(datagram)

    def _take(self, datagram):
        version, count, *_, sequence, _, _, _ = HEADER.unpack_from(datagram)
        if version != 5 or len(datagram) != HEADER.size + count * RECORD.size:
            self.contradicted += 1
            return
        again = different = False
        for number in range(count):
            offset = HEADER.size + number * RECORD.size
            record = datagram[offset:offset + RECORD.size]
            before = self.records.setdefault(sequence + number, record)
            again |= before is not record
            different |= before != record
        self.repeated += again
        self.contradicted += different

    def flows(self):
        """{(source, its port, destination, its port, protocol, interface): (packets, bytes)}"""
        sums = {}
        with self.lock:
            records = list(self.records.values())
        for record in records:
            (source, destination, _, interface, _, packets, octets, _, _, source_port,
             destination_port, _, _, protocol, *_) = RECORD.unpack(record)
            key = (socket.inet_ntoa(source), source_port, socket.inet_ntoa(destination),
                   destination_port, protocol, interface)
            before = sums.get(key, (0, 0))
            sums[key] = (before[0] + packets, before[1] + octets)
        return sums

    def missing(self):
        """Sequence numbers below the highest one that never came."""
        return max(self.records, default=-1) + 1 - len(self.records)

    def close(self):
        self.ended = True
        self.thread.join()
        self.socket.close()
