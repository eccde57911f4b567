#!/usr/bin/env python3
"""The documents keep their word: every command in a block marked sh is known here and runs, as near
to how it stands there as a machine that must stay as it is allows. A command that is not in the
table fails, and so does a row that no document needs. Manual pages and links are looked at too."""
import os
import re
import shlex
import shutil
import subprocess
import sys

import lib
from lib import BUILD, DEMO, TOP, check, equal, wait_for

DOCS = ("README.md", "device-agent/README.md", "dns-plugins/README.md", "src/README.md")
TABLE = {}


def command(*texts):
    """The function that runs these commands of the documents; it gets the stack and the text."""
    def keep(fn):
        for text in texts:
            TABLE[text] = fn
        return fn
    return keep


def commands_of(doc):
    """The commands of a document's sh blocks, continued lines joined."""
    text = (TOP / doc).read_text()
    blocks = re.findall(r"^[ ]*```sh\n(.*?)^[ ]*```$", text, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def shell(text, folder, stdin=None, limit=120):
    """Run it by sh; what it printed."""
    done = subprocess.run(["sh", "-eu", "-c", text], cwd=folder, input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=limit * lib.SLOW)
    check(done.returncode == 0, f"{text}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def root_of(stack):
    """The folder that stands for / where a command would change the machine."""
    return stack.folder / "root"


def moved(stack, text):
    """The command without sudo and owners, with /etc and /usr/local below our own root."""
    text = re.sub(r"^sudo ", "", text)
    text = re.sub(r"-o \S+ ", "", text)
    return re.sub(r"(?<=\s)(/etc/|/usr/local/)", lambda m: f"{root_of(stack)}{m[1]}", text)


def printed_as_shown(output, pattern):
    """The lines of README.md's output blocks that match were printed, and no others like them."""
    def lines(text):
        return [re.sub("built in .*", "built in", line.strip()) for line in text.splitlines()
                if re.match(r" *" + pattern, line)]
    shown = lines((TOP / "README.md").read_text())
    check(shown, "README.md shows no output")
    equal(lines(output), shown, "output")


# ---- README.md: the two commands ----

def quickstart_folder(stack):
    """A build folder that finds everything built."""
    folder = stack.folder / "quickstart"
    if not folder.exists():
        folder.mkdir()
        (folder / "programs").symlink_to(BUILD)
        (folder / "demo").symlink_to(DEMO)
    return folder


@command("packaging/quickstart")
def quickstart(stack, text):
    folder = quickstart_folder(stack)
    process = lib.Process("quickstart", [TOP / text, "--build", folder], stack.folder)
    try:
        wait_for("the demo", lambda: "Stop  " in process.text(), 120)
        printed_as_shown(process.text(), r"\d/6  ")
        for words in ("Gateway     https://lan.localhost:", "/setup?token=",
                      "(works once; makes the first account)", "https://tv.lan.localhost:"):
            check(words in process.text(), f"not shown: {words}")
    finally:
        shell(f"{TOP}/{text} --stop --build {shlex.quote(str(folder))}", TOP)
        process.stop()


@command("packaging/quickstart --check")
def quickstart_check(stack, text):
    output = shell(f"{TOP}/{text} --build {shlex.quote(str(quickstart_folder(stack)))}", TOP)
    printed_as_shown(output, r"(ok    |The main job works)")


@command("tests/run", "tests/run --fast flow/main", "tests/layers.sh")
def a_test_of_its_own(_stack, text):
    words = text.split()
    check(os.access(TOP / words[0], os.X_OK), f"{words[0]} is no program")
    script = (TOP / "tests/run").read_text()
    for word in words[1:]:
        check(word in script if word.startswith("-") else list(TOP.glob(f"tests/{word}*")), word)


# ---- README.md: install ----

@command("packaging/deps.sh build")
def packages(_stack, text):
    shell(text, TOP)


@command("./autogen.sh", "./autogen.sh && mkdir -p build/dev && cd build/dev")
def autogen(_stack, text):
    # Made before the build that is tested here; again it would have all trees built anew.
    check(text.split()[0] == "./autogen.sh" and os.access(TOP / "configure", os.X_OK), "configure")


@command("./configure --prefix=/usr/local --sysconfdir=/etc --localstatedir=/var")
def configure(stack, text):
    folder = stack.folder / "configured"
    folder.mkdir()
    said = shell(text.replace("./configure", f"{TOP}/configure --quiet"), folder)
    check("unrecognized" not in said, said)


@command("make")
def make(stack, text):
    # The agent stands for all; the whole is what this test runs against.
    folder = stack.folder / "configured"
    shell(f"{text} -s lanthorn-agent", folder, limit=200)
    said = shell("./lanthorn-agent --help", folder)
    for path in ("/etc/lanthorn/agent.conf", "/var/lib/lanthorn-agent"):
        check(f"({path})" in said, f"{path} is not the default")


@command("sudo make install")
def make_install(stack, text):
    shell(moved(stack, text) + f" -s DESTDIR={root_of(stack)}", BUILD, limit=200)
    for name in ("sbin/lanthornd", "bin/lanthornctl", "bin/lanthorn-agent",
                 "libexec/lanthorn/lanthorn-steward", "libexec/lanthorn/lanthorn-hook",
                 "libexec/lanthorn/lanthorn-dns", "share/man/man8/lanthornd.8",
                 "share/man/man1/lanthornctl.1", "share/man/man1/lanthorn-agent.1"):
        check(list(root_of(stack).glob(f"**/{name}")), f"{name} is not installed")


@command("sudo apt-get install uacme curl")
def programs_at_run_time(_stack, text):
    known = (TOP / "packaging/deps.sh").read_text()
    for name in text.split()[3:]:
        check(re.search(rf"\b{name}\b", known) and shutil.which(name), name)


@command("sudo useradd --system --no-create-home --shell /usr/sbin/nologin lanthorn",
         "sudo useradd --system --no-create-home --shell /usr/sbin/nologin lanthorn-acme")
def users(_stack, text):
    schema = shell(f"{BUILD}/lanthornd --print-schema", TOP)
    check(re.search(rf"^  #(gate|steward): {text.split()[-1]}$", schema, re.M), "no such default")
    options = shell("PATH=$PATH:/usr/sbin useradd --help", TOP)
    for word in re.findall(r"--[a-z-]+", text):
        check(word in options, f"useradd has no {word}")


# ---- README.md: a real domain ----

@command("sudo install -d /etc/lanthorn",
         "sudo install -d -m 700 -o lanthorn-acme /etc/lanthorn/secrets",
         "sudo install -m 755 conf/examples/dns-desec.sh /etc/lanthorn/",
         "sudo install -m 644 conf/examples/exec.yaml /etc/lanthorn/gateway.yaml",
         "sudo sed -i s/myhome.dedyn.io/YOURNAME.dedyn.io/ /etc/lanthorn/gateway.yaml")
def files(stack, text):
    shell(moved(stack, text).replace("YOURNAME", "yourname"), TOP)


@command("sudo install -m 400 -o lanthorn-acme /dev/stdin /etc/lanthorn/secrets/desec-token")
def secret(stack, text):
    shell(moved(stack, text), TOP, stdin="tOken-123\n")
    conf = (root_of(stack) / "etc/lanthorn/gateway.yaml").read_text()
    for path in re.findall(r"^\s*(?:command|token_file): (\S+)$", conf, re.M):
        check((root_of(stack) / path[1:]).exists(), f"{path} was not put in place")


@command("sudo lanthornd --check")
def check_config(stack, text):
    path = root_of(stack) / "etc/lanthorn/gateway.yaml"
    said = shell(f"{BUILD}/{text.split(' ', 1)[1]} --config {path}", TOP)
    equal(said.strip(), f"{path} is in order: yourname.dedyn.io")
    check("myhome" not in "".join(line for line in path.read_text().splitlines()
                                  if not line.startswith("#")), "a name was left")


@command("sudo lanthornd")
def start(stack, _text):
    stack.start_gateway()  # with the lab's provider and authority in place of the real ones
    wait_for("the first certificate",
             lambda: any(c["valid"] for c in stack.ctl("certs")["certificates"]), 60)


@command("sudo lanthornctl status", "sudo lanthornctl setup", "sudo lanthornctl users add ada",
         "sudo lanthornctl users allow ada tv", "sudo lanthornctl users token ada tv")
def control(stack, text):
    done = stack.ctl_run(*text.split()[2:])
    equal(done.returncode, 0, f"{text}: {done.stdout}{done.stderr}")
    promised = {"status": r"(?s)https://.*Lanthorn .*Certificates.*valid until.*none yet; add one",
                "setup": "https://.*/setup[?]token=", "add": "https://.*/invite[?]token=",
                "allow": "Done", "token": "Lanthorn-Token: "}
    for word, words in promised.items():
        if word in text.split():
            check(re.search(words, done.stdout), f"{text}: {done.stdout}")


@command("sudo lanthornctl pair tv")
def pair(stack, text):
    done = stack.ctl_run(*text.split()[2:])
    equal(done.returncode, 0, done.stderr)
    stack.start_device("tv")
    (stack.folder / "token.txt").write_text(re.search(r"lt1\.[\w-]+", done.stdout)[0] + "\n")


# ---- the agent ----

def agent(stack, text):
    config = f"--config {stack.agent_conf(stack.last)}"
    return text.replace("lanthorn-agent", f"{BUILD}/lanthorn-agent {config}", 1)


@command("lanthorn-agent enrol < token.txt", "lanthorn-agent enrol --token-file token.txt")
def enrol(stack, text):
    """The first time with the token of `pair tv`, then for a device more."""
    stack.last = "tv" if not hasattr(stack, "last") else f"{stack.last}x"
    if stack.last != "tv":
        stack.start_device(stack.last)
        (stack.folder / "token.txt").write_text(stack.token(stack.last) + "\n")
    said = shell(agent(stack, text), stack.folder)
    check("Enrolled as" in said, said)


@command("lanthorn-agent run", "lanthorn-agent run --service 127.0.0.1:80",
         "lanthorn-agent run --service 127.0.0.1:8080")
def run_agent(stack, text):
    where = f"127.0.0.1:{stack.devices[stack.last]}"
    argv = agent(stack, re.sub(r"127\.0\.0\.1:\d+", where, text)).split()
    old = stack.agents.pop(stack.last, None)
    if old:
        old.stop()
    stack.agents[stack.last] = stack.start(f"agent-{stack.last}", *argv)
    wait_for("a link", lambda: any(d["name"] == stack.last and d["online"]
                                   for d in stack.ctl("devices")["devices"]))


@command("lanthorn-agent status", "lanthorn-agent status --json")
def agent_status(stack, text):
    check("linked" in wait_for("status", lambda: shell(agent(stack, text), stack.folder)), text)


ALONE = ("awk -f src/base/seccomp_rows.awk src/base/seccomp_calls.txt | "
         "cc -O2 -std=gnu11 -D_GNU_SOURCE -Isrc -I. -DAGENT_VERSION='\"0.1.0\"' "
         "-DSYSCONFDIR='\"/etc\"' -DLOCALSTATEDIR='\"/var\"' "
         "device-agent/[!h]*.c device-agent/http_short.c ")


@command(ALONE + "device-agent/h2_none.c src/base/*.c -x c - -lssl -lcrypto -o lanthorn-agent",
         ALONE + "src/base/*.c device-agent/h2.c device-agent/h2_answer.c device-agent/h2_frames.c "
         "device-agent/h2_stream.c src/http/h1_chunks.c src/http/h1_parse.c src/http/h1_text.c "
         "src/http/h2_head.c src/http/h2_nva.c src/http/msg.c src/http/msg_fields.c src/http/uri.c "
         "src/http/ws.c src/net/crypto.c -x c - -lnghttp2 -lssl -lcrypto -o lanthorn-agent")
def build_agent_alone(stack, text):
    shell(text.replace("-o lanthorn-agent", f"-o {stack.folder}/lanthorn-agent"), TOP, limit=200)
    check("lanthorn-agent" in shell("./lanthorn-agent --version", stack.folder), "version")


@command("install -m 755 lanthorn-agent /usr/local/bin/",
         "install -D -m 644 conf/agent.conf /etc/lanthorn/agent.conf")
def install_agent(stack, text):
    (root_of(stack) / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    folder = stack.folder if "lanthorn-agent" in text.split() else TOP
    shell(moved(stack, text), folder)


# ---- src/README.md ----

@command("build/dev/lanthornd --print-schema > conf/gateway.yaml")
def print_schema(_stack, text):
    said = shell(text.replace("build/dev", str(BUILD)).split(" >")[0], TOP)
    check("#state_dir: /" in said and "\ndns:" in said, "no reference")


@command("../../configure --enable-werror --with-sanitizers=address,undefined --localstatedir=/var",
         "make -j2")
def the_build_under_test(_stack, text):
    options = shell(f"{TOP}/configure --help", TOP)
    for word in re.findall(r"--(?:enable|with|localstate)[a-z-]*", text):
        check(word in options, f"configure has no {word}")


@command("make tests/unit/test_conf && ./tests/unit/test_conf")
def one_unit(_stack, text):
    shell(text, BUILD, limit=200)


# ---- all of it ----

def every_command_is_known(_stack):
    unknown = [f"{doc}: {text}" for doc in DOCS for text in commands_of(doc) if text not in TABLE]
    check(not unknown, "not in the table of tests/flow/readme.py: " + "; ".join(unknown))
    stale = TABLE.keys() - {text for doc in DOCS for text in commands_of(doc)}
    check(not stale, f"in no document any more: {stale}")


def links_lead_somewhere(_stack):
    for doc in DOCS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (TOP / doc).read_text()):
            check((TOP / doc).parent.joinpath(target).exists(), f"{doc}: {target}")


def manual_pages_name_every_option_and_verb(_stack):
    for name, section in (("lanthornd", 8), ("lanthornctl", 1), ("lanthorn-agent", 1)):
        path = TOP / f"packaging/man/{name}.{section}"
        page = path.read_text()
        usage = shell(f"{BUILD}/{name} --help", TOP)
        for option in set(re.findall(r"--([a-z-]{2,})", usage)):
            check(re.search(rf"[ |]-{option}\b", page), f"{path.name}: --{option} is missing")
        for verb in re.findall(r"^  ([a-z]{3,}) ", usage, re.M):
            check(re.search(rf"(Cm|Ic) {verb}\b", page), f"{path.name}: {verb} is missing")
        groff = shutil.which("groff")
        if groff:
            said = subprocess.run([groff, "-mandoc", "-Tutf8", "-ww", path], check=True, text=True,
                                  capture_output=True, timeout=30).stderr
            equal(said, "", path.name)


def test_of(doc, text):
    def test(stack):
        TABLE[text](stack, text)
    test.__name__ = f"{doc}: {text}"
    return test


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    lib.run([every_command_is_known, links_lead_somewhere, manual_pages_name_every_option_and_verb]
            + [test_of(doc, text) for doc in DOCS for text in commands_of(doc) if text in TABLE])
