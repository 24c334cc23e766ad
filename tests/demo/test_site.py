from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

from deploy.demo.site import HOST_NAME, default_data_folder, environment, usable_port

DATA = Path("/data of/sam")


def test_settings_of_another_installation_do_not_reach_the_demo() -> None:
    inherited = {
        "PATH": "/bin",
        "DATABASE_URL": "postgres://production/sam",
        "REDIS_URL_FILE": "/run/secrets/redis",
        "SAM_DATA_DIR": "/var/lib/sam",
        "SECRET_KEY": "production",
        "HF_TOKEN": "hf_secret",
        "FLOWER_UNAUTHENTICATED_API": "1",
        "DJANGO_SETTINGS_MODULE": "other.settings",
        "SAM_UV": "/opt/uv",
    }

    given = environment(inherited, DATA)

    assert given == {
        "PATH": "/bin",
        "SAM_UV": "/opt/uv",
        "DJANGO_SETTINGS_MODULE": "samproject.settings",
        "SAM_DATA_DIR": "/data of/sam",
        "SAM_HOST_NAME": HOST_NAME,
        "SAM_LEASE_SECONDS": "15",
        "SAM_MEASURE_EMBEDDING": "false",
        "SAM_RATE_USER": "100000/min",
        "SAM_RATE_WORK": "100000/min",
        "SAM_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def test_proxy_exceptions_that_were_there_are_kept() -> None:
    given = environment({"no_proxy": "intranet"}, DATA)

    assert given["NO_PROXY"] == given["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_a_port_in_use_is_passed_over() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

        chosen = usable_port(port)

    assert chosen > port


def test_a_free_port_is_taken_as_asked() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]

    assert usable_port(port) == port


def test_the_default_folder_is_the_quickstarts_own() -> None:
    assert default_data_folder({"XDG_DATA_HOME": "/home/ada/data"}).name == "sam-quickstart"
