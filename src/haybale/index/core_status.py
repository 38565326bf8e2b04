"""Why Solr cannot open a core: its root cause, out of what Solr says, and what to do about it.

Solr's status tells the outermost of up to seven exceptions that cause each other, where only the innermost
says what is wrong. All is decided from that text, and from the core's configuration where that is at hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ServiceError
from haybale.images.stages import SOLR_HOME
from haybale.index.solr_classes import find_module_class, find_replacement, is_removed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.tools.solr import CoreFailedError

# What begins an exception in a stack trace (java.lang.Throwable.printStackTrace), and what are its frames.
CAUSED_BY = "Caused by: "
FRAME = re.compile(r"\s+(at |\.\.\. \d+ )")
EXCEPTION = re.compile(r"(?P<kind>(?:[a-z]\w*\.)+[A-Z][\w$]*)(?:[:;] ?(?P<text>.*))?", re.DOTALL)

# What Solr puts around a cause, and says no more than which core it is and where its files are.
WRAPPING = re.compile(
    r"SolrCore '.*' is not available due to init failure|Could not load conf for core \S+"
    r"|Can't load schema \S+|Error loading solr config from \S+|Error fetching schema"
    r"|Error instantiating class: .*|Ping query caused exception"
)
# Where in the configuration it was (org.apache.solr.util.plugin.AbstractPluginLoader).
PLACE = re.compile(r"Plugin init failure for \[(?P<file>[^\]]+)\] (?P<element>[^:\n]+)")

# The Solr image that has all modules, without a version.
WHOLE_IMAGE = "solr:9"

# Exceptions that Solr's own code raises with a sentence of its own.
OWN = ("org.apache.solr.", "java.lang.RuntimeException")

# Exceptions whose whole text is the name of a class; in the second the packages have slashes.
NOT_FOUND, NOT_DEFINED = "java.lang.ClassNotFoundException", "java.lang.NoClassDefFoundError"
MISSING_CLASS = re.compile(r"Error loading class '(?P<name>[^']+)'")
MISSING_FACTORY = re.compile(r"A SPI class of type \S+ with name '(?P<name>[^']+)' does not exist")
MISSING_FILE = re.compile(
    r"Can't find resource '(?P<resource>[^']+)'|Missing config file \"(?P<config>[^\"]+)\""
)
NOT_XML = re.compile(
    r"systemId: solrres:/(?P<file>[^;]+); lineNumber: (?P<line>\d+); columnNumber: \d+; (?P<text>.*)"
)

# How a message names what stands in the configuration, word for word.
NAMED = re.compile(
    r"'([^']+)'|\"([^\"]+)\"|field property: (\S+)|value specified for (\S+)|<(\w+)>|\{(\w+)="
    r"|Setting (default\w+Field)|\((\w+)/@"
)

# What is to be done, by what the cause says.
HINTS: Mapping[str, str] = {
    r"Setting defaultSearchField": "remove <defaultSearchField>, and give /select the default df",
    r"Setting default operator": "remove <solrQueryParser>, and give /select the default q.op",
    r"_version_ field must exist": (
        '<field name="_version_" type="plong" indexed="false" stored="false" docValues="true"/> with '
        '<fieldType name="plong" class="solr.LongPointField"/>; or remove <updateLog>'
    ),
    r"Missing: luceneMatchVersion": "add <luceneMatchVersion>9.10</luceneMatchVersion> to solrconfig.xml",
    r"No system property or default value specified for (\S+)": (
        r"write ${\1:DEFAULT} there, or give Solr -D\1=VALUE (SOLR_OPTS)"
    ),
    r"Unknown parameters: \{(\w+)=": r"remove the attribute \1 there: the class does not know it",
}
HINT = "correct that in Solr's configuration (the setting `solr_conf`)"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a core fails: what is wrong (with FILE:LINE where that is known), the cause, and what to do."""

    what: str
    cause: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class _Exception:
    """An exception of a stack trace: its class ("" where only its message is known), and its message."""

    kind: str
    text: str


def explain_failure(failure: CoreFailedError, *, image: str | None, files: Mapping[str, str]) -> ServiceError:
    """Return what to tell the user of a core that failed.

    `image` is the Solr image that the settings name, None where it is not known, `files` the texts of the
    core's configuration by their paths from the repository's root, {} where they are not at hand.
    """
    found = explain_trace(failure.trace, image=image, files=files)
    core = f"Solr's core {failure.core}"
    how = f"{core} fails its ping" if failure.is_loaded else f"{core} cannot be opened"
    return ServiceError(f"{how}: {found.what}", cause=found.cause, hint=found.hint)


def explain_trace(trace: str, *, image: str | None, files: Mapping[str, str]) -> Explanation:
    """Explain Solr's stack trace, or its message alone; `image` and `files` as for `explain_failure`."""
    chain = _read_chain(trace)
    steps, root = _steps(chain), chain[-1]
    said = "\n".join((*steps, root.text))
    place = next((f"{each['file']}, {each['element']}: " for each in PLACE.finditer(said)), "")
    if name := _missing_class(root, said):
        place = _prefix(name, files) or place
        what, cause, hint = f"{place}there is no class {name}", *_explain_class(name, image)
    elif found := NOT_XML.search(said):
        file = next((path for path in files if path.endswith(f"/{found['file']}")), found["file"])
        what = f"{file}:{found['line']}: {found['text']}"
        cause, hint = "it is no well-formed XML", "correct that line, or what stands before it"
    elif found := MISSING_FILE.search(said):
        name = found["resource"] or found["config"]
        what = f"{_prefix(name, files) or place}there is no file {name}"
        cause = "neither the core's folder conf nor Solr itself has it"
        hint = "put it into Solr's configuration (the setting `solr_conf`), or remove what names it"
    else:
        # What went wrong outside Solr's own code is only half a sentence: For input string: "ten".
        inner = [step for step in steps if not PLACE.fullmatch(step)][
            -1 if root.kind.startswith(OWN) else -2 :
        ]
        names = (next(filter(None, each)) for each in NAMED.findall(steps[-1]))
        located = next(filter(None, (_prefix(each, files) for each in names)), "")
        what, cause = f"{located or place}{': '.join(inner)}", "Solr refuses its configuration with that"
        if len(steps) > len(inner):
            cause = f"Solr says: {': '.join(steps)}"
        hint = next(
            (_fill(pattern, said, hint) for pattern, hint in HINTS.items() if re.search(pattern, said)), HINT
        )
    return Explanation(what=what, cause=cause, hint=hint)


def _missing_class(root: _Exception, said: str) -> str | None:
    """Return the class that Solr misses, or the name of an analysis factory; None where it misses none."""
    if found := MISSING_CLASS.search(said) or MISSING_FACTORY.search(said):
        return found["name"]
    return root.text.replace("/", ".") if root.kind in {NOT_FOUND, NOT_DEFINED} else None


def _explain_class(name: str, image: str | None) -> tuple[str, str]:
    """Return why Solr has no such class, and what to do."""
    if is_removed(name):
        instead = find_replacement(name)
        return (
            "Solr 9 has it no more",
            f'write class="{instead}"' if instead else "remove the element that names it",
        )
    if found := find_module_class(name):
        whole = (image or WHOLE_IMAGE).removesuffix("-slim")
        is_slim = image is not None and whole != image
        lacks = f"which {image} lacks, as every slim image does" if is_slim else "which is not loaded"
        renamed = (
            f', and write class="{found.name}"' if name.startswith("solr.") and name != found.name else ""
        )
        hint = (
            f'images.solr = "{whole}", with SOLR_MODULES={found.module} (ENV in the stage solr, or '
            f'<str name="modules"> in solr.xml){renamed}'
        )
        if not found.is_packaged:
            hint += "; an image that haybale builds from packages has it not"
        return f"it belongs to Solr's module {found.module}, {lacks}", hint
    if name.startswith(("solr.", "org.apache.solr.", "org.apache.lucene.")) or "." not in name:
        cause = "neither Solr 9 nor one of its modules has it by that name"
        return cause, "correct the name, or add the jar that has it"
    hint = (
        f"COPY the jar to {SOLR_HOME}/lib/ in the stage solr: <lib> in solrconfig.xml does nothing since "
        "Solr 9.8, unless Solr gets -Dsolr.config.lib.enabled=true"
    )
    return "it is none of Solr's own, so a jar of the site's has it, which Solr does not load", hint


def _prefix(name: str, files: Mapping[str, str]) -> str:
    """Return where in the configuration a name stands first, as FILE:LINE and a colon; "" for nowhere."""
    whole = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])")
    for path, text in files.items():
        if found := whole.search(text):
            return f"{path}:{text.count(chr(10), 0, found.start()) + 1}: "
    return ""


def _fill(pattern: str, said: str, hint: str) -> str:
    found = re.search(pattern, said)
    return found.expand(hint) if found else hint


def _read_chain(trace: str) -> list[_Exception]:
    """Return the exceptions of a stack trace, from the outermost to the one that caused them all."""
    blocks: list[list[str]] = [[]]
    for line in trace.splitlines():
        if line.startswith(CAUSED_BY):
            blocks.append([line.removeprefix(CAUSED_BY)])
        elif line.strip() and not FRAME.match(line):
            blocks[-1].append(line)
    return [_read_exception("\n".join(block).strip()) for block in blocks]


def _read_exception(text: str) -> _Exception:
    """Read CLASS: MESSAGE, where the message may be such a one again."""
    kind = ""
    while found := EXCEPTION.fullmatch(text):
        kind, text = found["kind"], (found["text"] or "").strip()
    return _Exception(kind=kind, text=text)


def _steps(chain: list[_Exception]) -> tuple[str, ...]:
    """Return what each exception says that the next one does not; of the last one all, and at least that."""
    steps: list[str] = []
    for number, each in enumerate(chain):
        text = each.text
        is_last = number == len(chain) - 1
        if not is_last:
            text = text.removesuffix(chain[number + 1].text).rstrip(": ")
        # A missing property is followed by the whole text of solrconfig.xml.
        line = text.partition("\n")[0].strip().removesuffix(" value:")
        if is_last or (line and not WRAPPING.fullmatch(line)):
            steps.append(line or each.kind)
    return tuple(dict.fromkeys(steps))
