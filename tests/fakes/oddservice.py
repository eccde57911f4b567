"""A device's own page that fails on demand: down, silent, cut short, reset."""
import socket
import struct
import threading

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\ngood\n"
CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nhalf"


class OddService:
    def __init__(self):
        self.mode, self.port, self.listener = "good", 0, None
        self.requests, self.conns = 0, set()
        self.released = threading.Event()
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Nobody listens any more, and who was connected is not."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in list(self.conns):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def become(self, mode):
        self.released.set()
        self.released = threading.Event()
        self.mode, self.requests = mode, 0

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with conn:
            self.conns.add(conn)
            try:
                while self.read_head(conn):
                    self.requests += 1
                    if not getattr(self, "on_" + self.mode)(conn):
                        return
            except OSError:
                return
            finally:
                self.conns.discard(conn)

    @staticmethod
    def read_head(conn):
        head = b""
        while b"\r\n\r\n" not in head:
            part = conn.recv(65536)
            if not part:
                return False
            head += part
        return True

    def on_good(self, conn):
        conn.sendall(GOOD)
        return True

    def on_silent(self, _):
        self.released.wait(60)

    def on_cut(self, conn):
        """Half an answer, and then only our direction is closed."""
        conn.sendall(CUT)
        conn.shutdown(socket.SHUT_WR)
        self.released.wait(60)

    def on_shut(self, conn):
        """Our direction is closed before any answer."""
        conn.shutdown(socket.SHUT_WR)
        self.released.wait(60)

    def on_reset(self, conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def on_cut_reset(self, conn):
        conn.sendall(CUT)
        self.released.wait(0.3)
        self.on_reset(conn)
