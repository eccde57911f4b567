"""A browser for debian_package.sh, where the gateway has port 443: packaged.py CA DOMAIN JAR [LINK]

With LINK, the setup link, it makes the first account and signs in; without, it goes on with the
cookies in JAR. Then it opens the page of the device tv, and keeps its cookies in JAR.
"""
import json
import pathlib
import sys
import types

from lib import check, equal
from web import Browser


def main(ca, domain, jar, link=None):
    stack = types.SimpleNamespace(port=443, domain=domain, lab=types.SimpleNamespace(ca=ca))
    browser = Browser(stack)
    if link:
        Browser(stack).set_up(link)
        browser.sign_in()
    else:
        browser.cookies = json.loads(pathlib.Path(jar).read_text())
    page = browser.open(browser.origin("tv." + domain) + "/")
    equal(page.status, 200)
    check("a device's own page" in page.text(), page.text()[:300])
    pathlib.Path(jar).write_text(json.dumps(browser.cookies))


main(*sys.argv[1:])
