#!/usr/bin/env python3
"""One exchange over a shared TLS session from Python, by the frames of src/tls/wire.ts.

usage: tls-frames.py SOCKET HOST PORT CA-FILE SHARED-NAME TEXT

SOCKET is the daemon's, or that of `activemx tls wrap --api`, which also serves sessions of its own
(SHARED-NAME `-`). Prints what the peer answers. Standard library only.
"""
import json
import socket
import struct
import sys

HELLO, NEW, CONNECT, WRITE, READ, FREE = 1, 2, 3, 5, 6, 9
CODES = 'none zeroReturn wantRead wantWrite syscall ssl badToken refused daemonGone'.split()
requests = 0


def receive(wrapper, count):
    octets = b''
    while len(octets) < count:
        more = wrapper.recv(count - len(octets))
        if not more:
            sys.exit('daemonGone: the connection has ended')
        octets += more
    return octets


def call(wrapper, kind, body):
    """Sends one call and awaits its answer: length kind flags priority code request lease body."""
    global requests
    requests += 1
    wrapper.sendall(struct.pack('<IBBbBII', 12 + len(body), kind, 0, 0, 0, requests, 0) + body)
    header = receive(wrapper, 16)
    length, _kind, _flags, _priority, code, _request, _lease = struct.unpack('<IBBbBII', header)
    answer = receive(wrapper, length - 12)
    if code != 0:
        sys.exit(f'{CODES[code]}: {answer.decode()}')
    return answer


path, host, port, ca_file, name, text = sys.argv[1:]
wrapper = socket.socket(socket.AF_UNIX)
wrapper.connect(path)
call(wrapper, HELLO, b'AMXTLS\x02\x00')
options = {'shared': False if name == '-' else name, 'host': host, 'port': int(port)}
options['ca'] = open(ca_file).read()
handle = call(wrapper, NEW, json.dumps(options).encode())[:25]
call(wrapper, CONNECT, handle)
call(wrapper, WRITE, handle + text.encode())
answer = call(wrapper, READ, handle + struct.pack('<I', 65536))
print(answer[4:].decode())
call(wrapper, FREE, handle)
