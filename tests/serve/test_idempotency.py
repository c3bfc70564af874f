"""Requests with an `Idempotency-Key`: a repeated one gets the same response, and does nothing."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from tests.support.serve_process import ServerProcess, error_line, picture

BODY = {"model": "pixels", "preview": 0, "refine": False}


def test_the_same_visualization_again_has_the_same_answer(server: ServerProcess) -> None:
    where = {"application": server.add_application("again")}
    server.add(4, application="again")

    def ask(key: str, **options: Any) -> httpx.Response:
        return server.client.post(
            "/v2/visualizations",
            params=where,
            json={**BODY, **options},
            headers={"Idempotency-Key": key},
        )

    first, again = ask("one"), ask("one")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert "was used for another request" in error_line(ask("one", seed=1), 422)
    id = first.json()["output"]["id"]
    server.ended(id)
    assert ask("one").json() == first.json()
    listed = server.client.get("/v2/visualizations", params=where).json()["outputs"]
    assert len(listed) == 1

    # Also when the visualization that it starts from is deleted.
    after = ask("two", like=id)
    server.ended(after.json()["output"]["id"])
    assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204
    again = ask("two", like=id)
    assert (again.status_code, again.json()) == (after.status_code, after.json())
    error_line(ask("three", like=id), 422)


def test_the_same_application_again_has_the_same_answer(server: ServerProcess) -> None:
    def add(name: str) -> httpx.Response:
        return server.client.post(
            "/v2/applications", json={"name": name}, headers={"Idempotency-Key": "one"}
        )

    added = add("birds")
    assert server.client.delete("/v2/applications/birds").status_code == 204
    assert add("birds").json() == added.json()
    error_line(server.client.get("/v2/inputs", params={"application": "birds"}), 404)
    assert "was used for another request" in error_line(add("dogs"), 422)


def test_the_same_pictures_again_have_the_same_answer(server: ServerProcess) -> None:
    where = {"application": server.add_application("pictures-again")}

    def add(number: int) -> httpx.Response:
        # Each with a boundary of its own, as clients do.
        return server.client.post(
            "/v2/inputs",
            params=where,
            files={"image": ("a.png", picture(number))},
            headers={"Idempotency-Key": "one"},
        )

    added = add(100)
    assert add(100).json() == added.json()
    id = added.json()["inputs"][0]["id"]
    assert server.client.delete(f"/v2/inputs/{id}").status_code == 204
    assert add(100).json() == added.json()  # the stored response; the picture stays deleted
    assert server.client.get("/v2/inputs", params=where).json()["inputs"] == []
    error_line(add(101), 422)


def test_concurrent_requests_with_one_key_are_done_once(server: ServerProcess) -> None:
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        response = httpx.post(
            f"{server.address}/v2/visualizations",
            params={"application": server.application},
            json=BODY,
            headers={"Idempotency-Key": "same"},
            timeout=60,
        )
        answers.append((response.status_code, response.json()["output"]["id"]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert len(answers) == 8
    assert answers[0][0] == 202
    server.ended(answers[0][1])
