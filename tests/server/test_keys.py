"""--api-key and --admin-api-key."""
import pytest

KEY, ADMIN_KEY = "correct-horse", "battery-staple"
OPEN_PATHS = ("/", "/health", "/ready", "/ping", "/metrics")
ADMIN_CALLS = (("/flush_cache", {}), ("/abort_request", {"rid": "x"}))


@pytest.fixture(scope="module")
def locked(start):
    return start("--api-key", KEY, "--admin-api-key", ADMIN_KEY)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_the_page_health_and_metrics_need_no_key(locked, path):
    assert locked.get(path)[0] == 200


@pytest.mark.parametrize("path", ["/v1/models", "/model_info", "/server_info", "/v1/loads", "/get_load", "/musaic/program"])
def test_all_else_needs_the_key(locked, path):
    assert locked.get(path)[0] == 401
    assert locked.get(path, headers=bearer(KEY))[0] == 200


@pytest.mark.parametrize("header", [{}, bearer("wrong"), bearer(""), bearer(KEY + "x"), bearer(KEY[:-1]),
                                    {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}])
def test_a_wrong_key_is_a_401_that_does_not_show_it(locked, header):
    status, _, body = locked.post("/generate", {"text": "x"}, headers=header)
    assert status == 401
    assert KEY.encode() not in body and b"error" in body


@pytest.mark.parametrize("path, body", ADMIN_CALLS)
def test_admin_calls_need_the_admin_key(locked, path, body):
    assert locked.post(path, body, headers=bearer(KEY))[0] in (401, 403)
    assert locked.post(path, body, headers=bearer(ADMIN_KEY))[0] == 200


def test_the_page_has_a_field_for_the_key_and_shows_none(locked):
    page = locked.get("/")[2].decode()
    assert 'id="key" type="password"' in page and "Authorization" in page
    assert KEY not in page and ADMIN_KEY not in page


def test_no_key_is_logged_or_shown(locked):
    for path in ("/server_info", "/model_info", "/metrics"):
        body = locked.get(path, headers=bearer(KEY))[2].decode()
        assert KEY not in body and ADMIN_KEY not in body
    assert KEY not in locked.log() and ADMIN_KEY not in locked.log()
