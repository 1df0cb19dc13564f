"""What the description says holds, whatever is asked: schemathesis makes the requests, the same ones each time.

Nobody streams into the rooms that it asks for, so 504 and the like are right where they are described. 500 never is.
"""

import pytest
import schemathesis
from havenlib import REPO
from havenlib.haven import Haven
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

HELD = [
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
ENDLESS = ["/api/events"]
COSTLY = ["/api/live-sessions/start", "/api/recording/start"]  # a process for each request
DESCRIPTION = REPO / "docs" / "openapi.yaml"

schema = schemathesis.openapi.from_path(DESCRIPTION)
sparing = schemathesis.openapi.from_path(DESCRIPTION)
sparing.config.phases.coverage.enabled = False


def examples(count):
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )


def ask(haven, case):
    response = case.call(base_url=haven.url, timeout=30)
    assert response.status_code != 500, response.text
    case.validate_response(response, checks=HELD)


@pytest.fixture(scope="module")
def haven(tmp_path_factory, shared_livekit, gst_env):
    limits = {"streamer-timeout": 1, "connect-timeout": 2}
    server = Haven(tmp_path_factory.mktemp("schema"), shared_livekit, config={"session": limits}, gst_env=gst_env)
    yield server
    server.close()


def test_the_description_is_the_one_that_is_served(haven):
    served = haven.get("/openapi.json").body
    assert served == schema.raw_schema


@schema.exclude(path=ENDLESS + COSTLY).parametrize()
@examples(6)
def test_no_answer_is_undescribed(haven, case):
    ask(haven, case)


@sparing.include(path=COSTLY).parametrize()
@examples(5)
def test_no_answer_to_a_start_is_undescribed(haven, case):
    ask(haven, case)
