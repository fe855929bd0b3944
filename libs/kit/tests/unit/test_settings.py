"""A service that lacks a setting refuses to start and names it, without showing any value."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from kit.clock import move_clock
from kit.settings import ServiceSettings, load


class ShopSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="FAREGATE_SHOP_")

    database_url: SecretStr


GIVEN = {
    "FAREGATE_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "FAREGATE_PUBLIC_URL": "http://faregate.test",
    "FAREGATE_AUTH_URL": "http://auth.test",
    "FAREGATE_SHOP_PORT": "8000",
    "FAREGATE_SHOP_DATABASE_URL": "postgresql://shop:a-password@db/shop",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FAREGATE_ENVIRONMENT", raising=False)
    monkeypatch.delenv("FAREGATE_CLOCK_OFFSET_S", raising=False)
    return monkeypatch


def test_settings_come_from_the_environment_and_hide_their_secrets() -> None:
    settings = load(ShopSettings, service="shop")

    assert settings.port == 8000
    assert settings.environment == "production"
    assert "a-password" not in repr(settings)


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_missing_variable_is_named_and_ends_the_process_with_2(
    missing: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv(missing)

    with pytest.raises(SystemExit) as ended:
        load(ShopSettings, service="shop")

    assert ended.value.code == 2
    assert capsys.readouterr().err == f"shop refuses to start: {missing}: is not set\n"


def test_a_wrong_value_is_named_and_not_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("FAREGATE_SHOP_PORT", "a-wrong-port")

    with pytest.raises(SystemExit):
        load(ShopSettings, service="shop")

    said = capsys.readouterr().err
    assert "FAREGATE_SHOP_PORT" in said
    assert "a-wrong-port" not in said


def test_time_is_moved_in_the_sandbox_only(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("FAREGATE_CLOCK_OFFSET_S", "60")
    with pytest.raises(SystemExit):
        load(ShopSettings, service="shop")
    assert "FAREGATE_CLOCK_OFFSET_S" in capsys.readouterr().err

    environment.setenv("FAREGATE_ENVIRONMENT", "sandbox")
    assert load(ShopSettings, service="shop").clock().offset_s == 60


def test_a_file_moves_time_while_the_process_runs_in_the_sandbox_only(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "clock"
    move_clock(path, offset_s=0)
    environment.setenv("FAREGATE_CLOCK_FILE", str(path))
    with pytest.raises(SystemExit):
        load(ShopSettings, service="shop")
    assert "FAREGATE_CLOCK_FILE" in capsys.readouterr().err

    environment.setenv("FAREGATE_ENVIRONMENT", "sandbox")
    clock = load(ShopSettings, service="shop").clock()
    before, began_s = clock.now(), clock.monotonic()
    move_clock(path, offset_s=86_400)

    assert clock.offset_s == 86_400
    assert (clock.now() - before).days == 1
    assert clock.monotonic() - began_s >= 86_400


def test_only_one_variable_moves_time(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    move_clock(tmp_path / "clock", offset_s=0)
    environment.setenv("FAREGATE_ENVIRONMENT", "sandbox")
    environment.setenv("FAREGATE_CLOCK_FILE", str(tmp_path / "clock"))
    environment.setenv("FAREGATE_CLOCK_OFFSET_S", "60")

    with pytest.raises(SystemExit):
        load(ShopSettings, service="shop")

    assert "set one" in capsys.readouterr().err
