"""TCP passed on to a port of this machine, with a knife for each connection. Those whose first bytes name
a link or an enrolment are the agents' own, and left alone.
"""
import contextlib
import itertools
import socket
import threading


class Relay:
    def __init__(self, target):
        self.target, self.pairs, self.numbers = target, {}, itertools.count()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        with near, contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", self.target)) as far:
            hello = near.recv(65536)
            far.sendall(hello)
            number = next(self.numbers)
            if b".lanthorn.internal" not in hello:
                self.pairs[number] = (near, far)
            back = threading.Thread(target=self.pump, args=(far, near), daemon=True)
            back.start()
            self.pump(near, far)
            back.join()
            self.pairs.pop(number, None)

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def open(self):
        return sorted(self.pairs)

    def cut(self, number):
        for end in self.pairs.pop(number, ()):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
