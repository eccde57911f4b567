"""The origin and the proxies beside which the gateway is measured. Each ends TLS on a loopback port and
proxies to one plain-HTTP origin, in its documented production shape: TLS 1.2 and 1.3, HTTP/2 and
HTTP/1.1, keep-alive to the origin, no access log, as many workers as asked for."""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from measure import BULK, MKCERTS, SUITES, Broken, command

DOMAIN = "bench.test"
ALL = ("nginx", "haproxy", "h2o", "caddy")
os.environ["PATH"] += os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"


def free_port():
    """A port below the range that the kernel hands out, listened on by nobody now."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Broken("no free port")


def prepare(folder):
    """Certificates and the origin's files."""
    certs = folder / "certs"
    certs.mkdir()
    command([MKCERTS, certs, f"@base={DOMAIN},*.{DOMAIN}"], 30)
    (folder / "www").mkdir()
    (folder / "www/1k").write_bytes(b"x" * 1024)
    (folder / "www/64m").write_bytes(os.urandom(1 << 20) * (BULK >> 20))
    folder.chmod(0o755)
    return certs / "@base.pem"


class Proxy:
    """One program with its settings in the folder; ended by its own pid and group."""
    name = "?"
    host = f"web.{DOMAIN}"

    def __init__(self, folder, origin=None, workers=2):
        self.folder, self.origin, self.workers = folder, origin, workers
        self.port = free_port()
        self.pem = folder / "certs/@base.pem"
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def argv(self):
        """Writes the settings, and says how to run it."""
        raise NotImplementedError

    def env(self):
        return {}

    def file(self, name, text):
        path = self.folder / f"{self.name}-{self.port}.{name}"
        path.write_text(text)
        return path

    def spawn(self, argv, name="log"):
        with open(self.folder / f"{self.name}-{self.port}.{name}", "ab") as log:
            return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, cwd=self.folder, env={**os.environ, **self.env()},
                                    start_new_session=True)

    def start(self):
        self.child = self.spawn(self.argv())
        self.wait_for_port(20)
        return self

    def wait_for_port(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Broken(f"{self.name} did not start: {self.log()[-400:]}")

    def log(self):
        path = self.folder / f"{self.name}-{self.port}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        end(self.child)

    def restart(self):
        self.stop()
        self.port = free_port()
        return self.start()


def end(child):
    if child is None:
        return
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait(5)


class Nginx(Proxy):
    """nginx; the origin, and the upstream that demands a client certificate, are nginx as well."""
    name = "nginx"

    def argv(self):
        path = self.file("conf", f"""{"user root;" if os.geteuid() == 0 else ""}
daemon off; worker_processes {self.workers};
pid {self.folder}/{self.name}-{self.port}.pid; error_log {self.folder}/{self.name}-{self.port}.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
 access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 3600;
 {self.temporary()}
 {self.http()}
}}""")
        return ["nginx", "-p", self.folder, "-c", path]

    def temporary(self):
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return " ".join(f"{kind}_temp_path {self.folder}/tmp-{self.port}/{kind};" for kind in kinds)

    def start(self):
        (self.folder / f"tmp-{self.port}").mkdir(exist_ok=True)
        return super().start()

    def tls(self):
        return f"""listen 127.0.0.1:{self.port} ssl http2 reuseport backlog=4096;
  ssl_certificate {self.pem}; ssl_certificate_key {self.pem}; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:s:10m;"""

    def http(self):
        return f"""upstream o {{ server 127.0.0.1:{self.origin.port}; keepalive 128;
  keepalive_requests 100000000; }}
 server {{ {self.tls()}
  location / {{ proxy_pass http://o; {self.proxying()} }} }}"""

    @staticmethod
    def proxying():
        return 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'


class Origin(Nginx):
    name = "origin"

    def __init__(self, folder):
        super().__init__(folder, workers=1)

    def http(self):
        return f"server {{ listen 127.0.0.1:{self.port} backlog=4096; root {self.folder}/www; }}"


class MtlsOrigin(Origin):
    """The same files, for those alone who show a certificate."""
    name = "origin-mtls"

    def http(self):
        return f"""server {{ {self.tls()} root {self.folder}/www; ssl_verify_depth 3;
  ssl_client_certificate {self.folder}/certs/ca.pem; ssl_verify_client on; }}"""


class NginxMtls(Nginx):
    """nginx as the front of an upstream that demands a client certificate."""
    name = "nginx-mtls"

    def http(self):
        return f"""upstream o {{ server 127.0.0.1:{self.origin.port}; keepalive 128;
  keepalive_requests 100000000; }}
 server {{ {self.tls()}
  location / {{ proxy_pass https://o; proxy_ssl_certificate {self.pem}; proxy_ssl_protocols TLSv1.3;
   proxy_ssl_certificate_key {self.pem}; {self.proxying()} }} }}"""


class Haproxy(Proxy):
    name = "haproxy"

    def argv(self):
        path = self.file("conf", f"""global
 nbthread {self.workers}
 maxconn 9000
 ssl-default-bind-options ssl-min-ver TLSv1.2
 ssl-default-bind-ciphersuites {SUITES}
 tune.ssl.default-dh-param 2048
defaults
 mode http
 timeout client 1h
 timeout server 1h
 timeout connect 5s
 timeout http-keep-alive 1h
frontend f
 bind 127.0.0.1:{self.port} ssl crt {self.pem} alpn h2,http/1.1
 default_backend b
backend b
 http-reuse always
 server s 127.0.0.1:{self.origin.port}
""")
        return ["haproxy", "-db", "-f", path]


class H2o(Proxy):
    name = "h2o"

    def argv(self):
        user = "user: root\n" if os.geteuid() == 0 else ""
        path = self.file("conf", f"""num-threads: {self.workers}
pid-file: {self.folder}/h2o.pid
{user}listen:
  host: 127.0.0.1
  port: {self.port}
  ssl: {{ certificate-file: {self.pem}, key-file: {self.pem}, minimum-version: TLSv1.2 }}
proxy.timeout.keepalive: 3600000
http1-request-timeout: 3600
http2-idle-timeout: 3600
max-connections: 9000
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{self.origin.port}/
""")
        return ["h2o", "-c", path]


class Caddy(Proxy):
    name = "caddy"

    def argv(self):
        path = self.file("conf", f"""{{
 admin off
 auto_https off
}}
https://*.{DOMAIN}:{self.port} {{
 bind 127.0.0.1
 tls {self.pem} {self.pem}
 reverse_proxy 127.0.0.1:{self.origin.port}
}}
""")
        return ["caddy", "run", "--config", path, "--adapter", "caddyfile"]

    def env(self):
        folder = str(self.folder)
        return {"GOMAXPROCS": str(self.workers), "HOME": folder, "XDG_DATA_HOME": folder,
                "XDG_CONFIG_HOME": folder}


CLASSES = {"nginx": Nginx, "haproxy": Haproxy, "h2o": H2o, "caddy": Caddy}


def installed(names):
    """Those that are here, and those that are not."""
    here = [name for name in names if shutil.which(name)]
    return here, [name for name in names if name not in here]
