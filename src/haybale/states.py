"""The names of the pipeline's states, which its graph, its journal and the settings of hooks share."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """The states, by the names that they have in the diagram (docs/pipeline.md)."""

    ON_PUSH = "onPush"
    CHANGE_DETECTED = "changeDetected"
    NEW_DATA = "newData"
    CHECK_CURRENT_SOLR_EXISTS = "checkCurrentSolrExists"
    REGEN_SOLR = "regenSolr"
    PULL_SOLR_IMAGE = "pullSolrImage"
    UNTAG_SOLR_IMAGE = "untagSolrImage"
    POST_CHECK = "postCheck"
    BUMP_VERSION = "bumpVersion"
    BV_PATCH = "bvPatch"
    BV_MERGE = "bvMerge"
    RETAG_SOLR_IMAGE = "retagSolrImage"
    BUILD_TEST_RUNNER = "buildTestRunner"
    RUN_TESTS = "runTests"
    PUBLISH = "publish"
