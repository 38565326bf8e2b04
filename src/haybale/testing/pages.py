"""Pages of the released site with the baked index (`[[tool.haybale.test.pages]]`): asked, and looked at.

No test of a site's own need go through Solr in the image that is deployed; a page of results does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from haybale.config import PageSettings, SiteSettings
    from haybale.tools.engine.compose import Compose

# The name of what they are in the summary, among the suites.
PAGES = "pages"

# What XML has no way to write (Extensible Markup Language 1.0, "Char").
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Asks for each page in the site's own container, where any Python will do; redirects are answers. A line of
# JSON for each: [status, text], or [null, what went wrong].
ASK = """
import http.client, json, sys
port, pages = json.loads(sys.argv[1])
for path, headers in pages:
    site = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        site.request("GET", path, headers=headers)
        answer = site.getresponse()
        found = [answer.status, answer.read().decode("utf-8", "replace")]
    except (OSError, http.client.HTTPException) as error:
        found = [None, repr(error)]
    print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class PageAnswer:
    """What the site answered: a status and the text, or None and what went wrong."""

    page: PageSettings
    status: int | None
    text: str

    @property
    def problem(self) -> str | None:
        """What is wrong with the answer, None where nothing is."""
        if self.status is None:
            return f"{self.page.path}: no answer ({self.text})"
        if self.status != self.page.status:
            return f"{self.page.path}: status {self.status}, not {self.page.status}"
        if self.page.contains is not None and self.page.contains not in self.text:
            return f"{self.page.path}: {self.page.contains!r} is not in the answer"
        return None


def ask_pages(services: Compose, site: SiteSettings, pages: Sequence[PageSettings]) -> list[PageAnswer]:
    """Ask the released site for each page; `ServiceError` where its container cannot be asked at all."""
    asked = [(page.path, _headers(page)) for page in pages]
    lines = list(services.exec("web", ["python", "-c", ASK, json.dumps([site.port, asked])]))
    if len(lines) != len(pages):
        raise ServiceError(
            f"{len(pages)} pages were asked for, and {len(lines)} answers came",
            cause="that is all that came from python in the site's container",
            hint="to look at the same services: `haybale ci-dc up -d`",
            log="\n".join(lines),
        )
    answers = [json.loads(line) for line in lines]
    return [
        PageAnswer(page=page, status=status, text=text)
        for page, (status, text) in zip(pages, answers, strict=True)
    ]


def _headers(page: PageSettings) -> dict[str, str]:
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    return {**page.headers, **({"Cookie": cookies} if cookies else {})}


def write_report(file: Path, answers: Sequence[PageAnswer]) -> None:
    """Write what came as JUnit XML, as the suites do."""
    failures = sum(answer.problem is not None for answer in answers)
    suite = ET.Element("testsuite", name=PAGES, tests=str(len(answers)), failures=str(failures), skipped="0")
    for answer in answers:
        case = ET.SubElement(suite, "testcase", classname=PAGES, name=answer.page.path)
        if answer.problem:
            ET.SubElement(case, "failure", message=_printable(answer.problem)).text = _printable(
                answer.text[:2000]
            )
    ET.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
