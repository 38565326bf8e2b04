"""What people read of a key, of what changed in it, and of an index image."""

from __future__ import annotations

from haybale.image_ref import ImageRef
from haybale.index.blame import Blame
from haybale.index.contents import IndexContents
from haybale.index.key import Component, Key
from haybale.index.key_diff import Baseline, ComponentChange, Explanation, FileChange
from haybale.index.rendering import WIDTH, component_lines, contents_lines, explanation_lines
from haybale.tools.git import CommitSummary

OLD = Key.from_components(
    [
        Component(name="bases", digest="12" * 32, value="python:3.13-slim solr:9.10.1-slim"),
        Component(name="core", digest="cd" * 32, value="hay"),
        Component(name="dump", digest="ef" * 32, value="ab" * 32),
        Component(name="solr-conf", digest="34" * 32, files=dict.fromkeys(["a", "b"], "5" * 16)),
    ]
)
NEW = Key.from_components([Component(name="core", digest="56" * 32, value="other")])
SUMMARY = CommitSummary(hash="a1b2c3d4e5f60718", date="2026-11-20", author="Ada", subject="Mend the schema")


def test_explanation_lines_of_the_same_key_lists_its_components() -> None:
    baseline = Baseline(key=OLD, source="the last index", commit="abcdef" * 6, date="2026-11-20")
    first, second, _, *parts = explanation_lines(Explanation(key=OLD, baseline=baseline))
    assert (first, second) == (
        f"index key {OLD}: the same as the last index, of",
        "  commit abcdefabcdef of 2026-11-20",
    )
    assert [line.split()[0] for line in parts] == ["bases", "core", "dump", "solr-conf"]
    assert parts[3].endswith("2 files")


def test_explanation_lines_without_a_baseline_says_so() -> None:
    first, *_ = explanation_lines(Explanation(key=OLD, baseline=None))
    assert first == f"index key {OLD}: nothing was indexed here yet"


def test_explanation_lines_names_files_and_commits() -> None:
    committed = Blame(kind="commit", commit=SUMMARY)
    changes = (
        ComponentChange(
            component="solr-conf",
            files=(
                FileChange(path="solr_conf/a", kind="changed", blame=committed),
                FileChange(path="solr_conf/b", kind="renamed", was="a", blame=committed),
                FileChange(path="solr_conf/c", kind="added", blame=Blame(kind="uncommitted")),
                FileChange(path="solr_conf/d", kind="removed"),
            ),
        ),
        ComponentChange(component="bases", before="python solr:9", after="python solr:10"),
        ComponentChange(component="loader", before="1" * 64, after="2" * 64),
    )
    baseline = Baseline(key=OLD, source="reg:solr-1", commit="abc", is_dirty=True)
    text = explanation_lines(Explanation(key=NEW, baseline=baseline, changes=changes))
    short = OLD.value[:12]
    assert list(text) == [
        f"index key {NEW}: differs from {short}:",
        "  solr-conf, bases, loader",
        f"({short} is reg:solr-1, of commit abc and what was not committed)",
        "",
        "solr-conf",
        "  solr_conf/a (changed)",
        "  solr_conf/b (renamed from a)",
        "    a1b2c3d4e5f6 2026-11-20 Ada: Mend the schema",
        "  solr_conf/c (added)",
        "    not committed",
        "  solr_conf/d (removed)",
        "    by no commit that this clone has",
        "",
        "bases",
        "  was python solr:9",
        "  is  python solr:10",
        "",
        "loader",
        "  was 111111111111",
        "  is  222222222222",
    ]


def test_explanation_lines_breaks_lines_and_no_words() -> None:
    subject = "Let titles be searched without their accents, as people who write in a hurry leave them out"
    name = f"registry.example/team/{'site-' * 20}index:solr-1"
    commit = CommitSummary(hash="a1b2c3d4e5f60718", date="2026-11-20", author="Ada", subject=subject)
    file = FileChange(path="solr_conf/a", kind="changed", blame=Blame(kind="elsewhere", commit=commit))
    change = ComponentChange(component="solr-conf", files=(file,))
    baseline = Baseline(key=OLD, source=name)
    lines = list(explanation_lines(Explanation(key=NEW, baseline=baseline, changes=(change,))))
    assert {line for line in lines if len(line) > WIDTH} == {f"  {name})"}
    assert f"{subject} (which is not in the history of" in " ".join(" ".join(lines).split())


def test_component_lines_cut_nothing_but_digests() -> None:
    assert component_lines(OLD) == [
        "bases      python:3.13-slim solr:9.10.1-slim",
        "core       hay",
        "dump       abababababab",
        "solr-conf  343434343434  2 files",
    ]


def test_explanation_and_contents_name_components_alike() -> None:
    explanation = Explanation(key=OLD, baseline=None)
    image = ImageRef.parse("r.example/hay:solr-1")
    contents = IndexContents(image=image, key=OLD, cores={}, report=None, advice=(), serving=())
    assert explanation.to_dict()["components"] == contents.to_dict()["components"]
    for line in component_lines(OLD):
        assert line in list(explanation_lines(explanation))
        assert f"         {line}" in contents_lines(contents)
