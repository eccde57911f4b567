"""The operations that the kill sweep cuts short or fails, what must hold of each afterwards, and the
states of a home from which they begin.
"""
import glob
import re
import shutil
import subprocess
import time

import lib
from lib import check, equal
from web import Browser

PRELOAD = "/usr/lib/*/faketime/libfaketimeMT.so.1"
TEN_DAYS_AGO = {"FAKETIME": "-10d", "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC",
                "ASAN_OPTIONS": "verify_asan_link_order=0"}
DISK = re.compile(r"disk|space|I/O|Input/output|full|could not write", re.I)
WILDCARD = "certificates: wildcard\n"


def names_of(home, verb):
    return {row["name"] for row in home.ctl(verb)[verb]}


def ctl_done(home, *args):
    done = home.ctl_run(*args)
    check(done.returncode == 0, lambda: f"lanthornctl {args}: {done.stderr}")
    return done.stdout


def certs(home):
    return {c["id"]: c for c in home.ctl("certs")["certificates"]}


def wait_held(home, name, but=None, patient=False, seconds=200):
    """A certificate that is not the one with the serial `but`, and no proof left of it."""
    def there():
        cert = certs(home)[name]
        if cert["failure"] and not patient:
            raise lib.Fatal(f"{name}: {cert['failure']}")
        return cert["state"] == "held" and cert["serial"] != but
    home.until(f"the certificate {name}", there, seconds)
    home.until("the end of the proofs", lambda: not home.proofs(), 100)


def new_device_enrols(home, folder, token):
    """With a folder of its own: is the token still good for another key?"""
    home.devices[folder] = 9
    return home.enrol(folder, token)


class Op:
    """An operation, and what must hold after it was cut short and all was started again."""
    base, config, victims = "home", WILDCARD, ("control",)

    @property
    def name(self):
        return type(self).__name__

    def ready(self, home):
        """What comes before it, out of danger."""

    def act(self, home):
        """The operation itself."""

    def again(self, home):
        """Repeat it after a kill; whether it had happened or not, it has now."""

    def judge(self, home, error):
        """After a disk's error: what was refused has not happened, and the words say why."""
        check(not error or DISK.search(str(error)), f"unclear: {error}")


class Pair(Op):
    def act(self, home):
        ctl_done(home, "pair", "d2")

    def judge(self, home, error):
        super().judge(home, error)
        check(not error or "d2" not in names_of(home, "devices"), "refused, and yet there")

    def again(self, home):
        home.ctl_run("pair", "d2")
        token = home.token("d2")
        equal(new_device_enrols(home, "d2", token).returncode, 0, "enrolment")


class Enrol(Op):
    """The gateway dies under an enrolment; the agent comes again with its key."""

    def act(self, home):
        home.done = home.enrol("d1", home.spare)

    def judge(self, home, error):
        super().judge(home, error)
        if home.done.returncode:
            check(DISK.search(home.done.stderr), f"unclear: {home.done.stderr}")

    def again(self, home):
        done = home.enrol("d1", home.spare)
        check(done.returncode == 0 or "enrolled already" in done.stderr, done.stderr)
        done = new_device_enrols(home, "thief", home.spare)
        check(done.returncode != 0, "the token works for a second key")
        done = linked(home, "d1")
        check(done, "the device does not link")


class EnrolAgent(Enrol):
    victims = ("agent",)

    def ready(self, home):
        home.stdin = home.spare + "\n"
        home.devices["d1"] = 9
        home.agent_conf("d1")
        home.argv = [lib.BUILD / "lanthorn-agent", "--config", home.folder / "d1.conf", "enrol"]

    def act(self, home):
        home.until("an identity", (home.folder / "agents/d1/identity").exists)


class RenewDevice(Op):
    """A device's certificate, two thirds of whose life are over."""
    base = "old"

    def act(self, home):
        before = identity(home)
        agent = start_agent(home, "tv")
        try:
            home.until("a renewed identity", lambda: identity(home) != before, 20)
        finally:
            agent.stop()

    def again(self, home):
        before = identity(home)
        agent = start_agent(home, "tv")
        try:
            home.until("a good certificate", lambda: left_s(home) > 12 * 86400, 20)
            home.until("the link", lambda: is_online(home, "tv"), 20)
        finally:
            agent.stop()
        check(before.count("\ncert ") + before.startswith("cert ") == 1, before)


class RenewAgent(RenewDevice):
    victims = ("agent",)

    def ready(self, home):
        home.stdin = None
        home.devices["tv"] = 9
        home.agent_conf("tv")
        home.argv = [lib.BUILD / "lanthorn-agent", "--config", home.folder / "tv.conf", "run"]
        home.before = identity(home)

    def act(self, home):
        home.until("a renewed identity", lambda: identity(home) != home.before, 20)


def identity(home, name="tv"):
    return (home.folder / f"agents/{name}/identity").read_text()


def status(home, name):
    done = subprocess.run([lib.BUILD / "lanthorn-agent", "--config", home.agent_conf(name),
                           "status", "--json"], capture_output=True, text=True, timeout=20,
                          check=False)
    return lib.json.loads(done.stdout)


def left_s(home):
    return status(home, "tv")["not_after"] - time.time()


def is_online(home, name):
    return any(d["name"] == name and d["online"] for d in home.ctl("devices")["devices"])


def start_agent(home, name):
    home.devices[name] = 9
    return lib.Process(f"agent-{name}", [lib.BUILD / "lanthorn-agent", "--config",
                                         home.agent_conf(name), "run"], home.folder)


def linked(home, name):
    agent = start_agent(home, name)
    try:
        return home.until("the link", lambda: is_online(home, name), 20)
    finally:
        agent.stop()


class AddUser(Op):
    def act(self, home):
        ctl_done(home, "users", "add", "bob")

    def judge(self, home, error):
        super().judge(home, error)
        equal("bob" in names_of(home, "users"), not error, f"the person is there ({error})")

    def again(self, home):
        had = "bob" in names_of(home, "users")
        done = home.ctl_run("users", "add", "bob")
        equal(done.returncode == 0, not had, f"had={had} {done.stderr}: success")
        ctl_done(home, "users", "invite", "bob")


class RemoveUser(Op):
    def act(self, home):
        ctl_done(home, "users", "remove", "ada")

    def again(self, home):
        had = "ada" in names_of(home, "users")
        equal(home.ctl_run("users", "remove", "ada").returncode == 0, had, "success")
        check("ada" not in names_of(home, "users"), "ada is still there")


class AllowUser(Op):
    def act(self, home):
        ctl_done(home, "users", "allow", "ada", "tv")
        ctl_done(home, "users", "token", "ada", "tv")
        ctl_done(home, "users", "deny", "ada", "tv")

    def again(self, home):
        self.act(home)


class SetUp(Op):
    """The first account, by a link that works once."""
    base = "empty"

    def ready(self, home):
        home.link = home.setup_link()

    def act(self, home):
        Browser(home).set_up(home.link)

    def again(self, home):
        if names_of(home, "users"):
            check(Browser(home).open(home.link).status != 200, "the used link works again")
        else:
            equal(Browser(home).set_up(home.link).status, 200, "setting up again")
        browser = Browser(home)
        browser.sign_in()
        check(browser.signed_in(), "the administrator cannot sign in")


class SignIn(Op):
    def act(self, home):
        Browser(home).sign_in()

    def again(self, home):
        browser = Browser(home)
        browser.sign_in()
        check(browser.signed_in(), "nobody can sign in")


class SignOut(Op):
    def ready(self, home):
        home.browser = Browser(home)
        home.browser.sign_in()
        home.signed_out = False

    @staticmethod
    def ask(home):
        base = home.domain
        return home.browser.request("POST", base, "/signout", {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": home.browser.origin(base)}, "")

    def act(self, home):
        cookies = dict(home.browser.cookies[home.domain])
        answer = self.ask(home)
        home.signed_out = answer.status in (200, 303)
        home.browser.cookies[home.domain] = cookies

    def again(self, home):
        if home.signed_out:
            check(not home.browser.signed_in(), "who signed out is in again")
        elif home.browser.signed_in():
            self.ask(home)
            check(not home.browser.signed_in(), "signing out does nothing")


class RemoveDevice(Op):
    """Its certificate, its name in DNS and its sessions go too."""
    base, config = "own", ""
    victims = ("control", "steward")

    def act(self, home):
        ctl_done(home, "devices", "remove", "tv")
        home.until("the end of its name", lambda: not home.lab.dig(home.host("tv")), 20)

    def again(self, home):
        had = "tv" in names_of(home, "devices")
        equal(home.ctl_run("devices", "remove", "tv").returncode == 0, had, "success")
        home.until("the end of its name", lambda: not home.lab.dig(home.host("tv")), 20)
        home.until("the end of its files", lambda: not list(
            (home.folder / "state/gate/certs").glob("tv.*")), 10)
        agent = start_agent(home, "tv")
        try:
            time.sleep(0.3)
            check(not is_online(home, "tv"), "the removed device links")
        finally:
            agent.stop()


class Issue(Op):
    """A new device gets a name in DNS and a certificate of its own."""
    base, config = "own", ""
    victims = ("control", "steward", "uacme")

    def act(self, home):
        ctl_done(home, "pair", "d2")
        wait_held(home, "d2")

    def again(self, home):
        home.until("no proof in DNS", lambda: not home.proofs(), 30)
        home.stop_home()
        home.let_time_pass()
        home.start_home(self.config)
        if "d2" not in names_of(home, "devices"):
            ctl_done(home, "pair", "d2")
        wait_held(home, "d2", patient=True)
        home.until("its name", lambda: home.lab.dig(home.host("d2")) == ["127.0.0.1"], 20)
        home.until("only certificates", lambda: sorted(
            p.name for p in (home.folder / "state/gate/certs").iterdir()) ==
            ["@base.pem", "d1.pem", "d2.pem", "tv.pem"], 30)


class Renew(Op):
    victims = ("control", "steward", "uacme")

    def ready(self, home):
        home.serial = certs(home)["@base"]["serial"]

    def act(self, home):
        ctl_done(home, "renew", "@base")
        wait_held(home, "@base", home.serial)

    def again(self, home):
        home.until("no proof in DNS", lambda: not home.proofs(), 30)
        home.stop_home()
        home.let_time_pass()
        home.start_home(self.config)
        if certs(home)["@base"]["serial"] == home.serial:
            home.ctl_run("renew", "@base")
        wait_held(home, "@base", home.serial, patient=True)


class RenewAnew(Renew):
    """With a new account at the authority."""
    base, victims = "stranger", ("steward", "uacme")


# ---- the homes ----

def wait_for_base(home):
    """A lab without a turn for seconds fails the order, and the next try is ten minutes away."""
    for tries_left in (2, 1, 0):
        try:
            wait_held(home, "@base", patient=True, seconds=60)
            return
        except lib.Failure:
            if not tries_left:
                raise
        home.stop_home()
        home.let_time_pass()
        home.start_home(WILDCARD)


def prepare(home):
    """The states from which rounds begin."""
    found = glob.glob(PRELOAD)
    check(found, "the package faketime is missing")
    home.keep("nothing")
    home.start_home(WILDCARD, {"LD_PRELOAD": found[0], **TEN_DAYS_AGO})
    home.devices["tv"] = 9
    equal(home.enrol("tv").returncode, 0, "enrolment ten days ago")
    home.stop_home()
    home.let_time_pass()
    home.start_home(WILDCARD)
    wait_for_base(home)
    home.stop_home()
    home.let_time_pass()
    home.keep("old")
    home.put_back("nothing")
    home.start_home(WILDCARD)
    wait_for_base(home)
    home.stop_home()
    home.let_time_pass()
    home.keep("empty")
    home.start_home(WILDCARD)
    Browser(home).set_up(home.setup_link())
    ctl_done(home, "users", "add", "ada")
    equal(home.enrol("tv").returncode, 0, "enrolment")
    home.spare = home.token("d1")
    home.stop_home()
    home.let_time_pass()
    home.keep("home")
    for account in (home.folder / "state/steward/acme").glob("ca-*"):
        shutil.rmtree(account)
    home.keep("stranger")
    home.put_back("home")
    home.start_home("")
    for name in ("tv", "d1"):
        wait_held(home, name)
    home.stop_home()
    home.let_time_pass()
    home.keep("own")
