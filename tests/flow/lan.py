#!/usr/bin/env python3
"""A LAN of its own, each machine with its address: the main job across it."""
import re
import subprocess

import lib
import netns
from lanlab import Lan
from lib import check, equal, wait_for

STATE = {}


def the_main_job_works_across_a_lan(lan):
    lan.start_gateway()
    for name, title in (("tv", "Television"), ("lamp", "Lamp")):
        lan.add_device(name, title)
    work = lan.folder / "phone"
    work.mkdir()
    done = lan.at["phone"].run("env", f"LAB_CA={lan.lab.ca}", f"LAB_DOMAIN={lan.domain}",
                         f"LAB_DNS_ADDR={lan.lab.dns_addr}", f"LAB_DNS_PORT={lan.lab.dns_port}",
                         f"LAB_GATEWAY_ADDR={lan.at['gateway'].addr}",
                         lib.TOP / "packaging/demo/check.sh", lan.port, lan.setup_link(), lib.DEMO,
                         work, timeout=120)
    check("The main job works." in done.stdout, f"{done.stdout}\n{done.stderr}")


netns.enter(mounts=True)
lib.run([
    the_main_job_works_across_a_lan,
], Lan)
