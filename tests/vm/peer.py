# SPDX-License-Identifier: BSD-3-Clause
"""What the hosts on the test VM's wires run.

peer.py serve                     web on 80, echo of lines on 7 (TCP); 9000 and 9001 (UDP) say who asked. Says "ready".
peer.py ask ADDRESS PORT SECONDS      prints what the UDP service says
peer.py connect ADDRESS PORT SECONDS  prints "connected" or the error
peer.py talk ADDRESS PORT         one connection: lines of standard input go, lines that come are printed
"""
import errno
import socket
import sys
import threading


def word_of(error):
    return "ETIMEDOUT" if isinstance(error, TimeoutError) else errno.errorcode.get(error.errno, str(error))


def web(connection, _):
    asked = b""
    while b"\r\n\r\n" not in asked and (more := connection.recv(4096)):
        asked += more
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


def echo(connection, _):
    while more := connection.recv(4096):
        connection.sendall(more)


def served(serve, connection, peer):
    try:
        with connection:
            serve(connection, peer)
    except OSError:
        pass  # the other end went away


def tcp(port, serve):
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        opened.release()
        while True:
            threading.Thread(target=served, args=(serve, *listening.accept()), daemon=True).start()


def udp(port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(("::", port))
        opened.release()
        while True:
            _, peer = bound.recvfrom(2048)
            bound.sendto(f"you are {peer[0].removeprefix('::ffff:')}".encode(), peer)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ask(address, port, seconds):
    """Asks each second: the first datagrams may be lost while neighbours are found."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as bound:
        bound.settimeout(1)
        bound.connect((address, port))
        for _ in range(seconds):
            try:
                bound.send(b"who am I")
                return bound.recv(2048).decode()
            except TimeoutError:
                continue
            except OSError as error:
                return word_of(error)
    return "ETIMEDOUT"


def connect(address, port, seconds):
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return "connected"
    except OSError as error:
        return word_of(error)


def talk(address, port):
    connection = socket.create_connection((address, port))

    def hear():
        while more := connection.recv(4096):
            sys.stdout.write(more.decode())
            sys.stdout.flush()

    threading.Thread(target=hear, daemon=True).start()
    for line in sys.stdin:
        connection.sendall(line.encode())


opened = threading.Semaphore(0)


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "serve":
        services = [(tcp, 80, web), (tcp, 7, echo), (udp, 9000), (udp, 9001)]
        for service, *args in services:
            threading.Thread(target=service, args=args, daemon=True).start()
        for _ in services:
            opened.acquire()
        print("ready", flush=True)
        threading.Event().wait()
    elif what in ("ask", "connect"):
        print({"ask": ask, "connect": connect}[what](args[0], int(args[1]), int(args[2])))
    elif what == "talk":
        talk(args[0], int(args[1]))


if __name__ == "__main__":
    main()
