import pytest

from auth.domain.devices import device_name

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/1 Safari/537.36 Edg/1", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 16; Pixel 10) {WEBKIT} Chrome/1 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on a Mac"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1",
            "Safari on an iPhone",
        ),
        ("python-httpx2/2.16.2", "python-httpx2/2.16.2"),
        ("Mozilla/5.0 (something new)", "Mozilla/5.0 (something new)"),
    ],
)
def test_browsers_are_called_by_their_names_and_programs_as_they_say(user_agent, name):
    assert device_name(user_agent) == name
