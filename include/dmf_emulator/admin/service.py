"""The emulator's own controls; no part of any product it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmf_emulator.admin.guard import Guard
from dmf_emulator.admin.scenario import Scenario, switch_on_entry
from dmf_emulator.clock import iso_utc
from dmf_emulator.faults.definitions import Choice, FaultDefinition
from dmf_emulator.faults.fault_set import FaultSet
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Response, is_whole_number, json_object, json_response
from dmf_emulator.settings import EmulatorError
from dmf_emulator.state.world import World

_DEFAULT_LIMIT = 1000
_SHOWN_EXECUTIONS = 200
_SHOWN_FILES = 500


class AdminService:
    """`/_emu/…` and the status page, over plain http for a person's browser."""

    def __init__(self, world: World, faults: FaultSet, guard: Guard) -> None:
        self._world = world
        self._guard = guard
        self._fault_set = faults

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Nothing: the answers are complete."""

    def identify(self, exchange: Exchange) -> Handler:
        """Route by path and method."""
        request = exchange.request
        problem = self._guard.problem(request)
        if problem is not None:
            raise Refusal(_problem(403, problem))
        path, method = request.path.rstrip("/"), request.method
        exchange.action = f"{method} {path or '/'}"
        routes: Mapping[tuple[str, str], Handler] = {
            ("GET", ""): _status_page,
            ("GET", "/_emu/state"): self._state,
            ("GET", "/_emu/requests"): lambda: self._requests(request.parameters),
            ("DELETE", "/_emu/requests"): self._clear_requests,
            ("GET", "/_emu/clock"): self._clock,
            ("POST", "/_emu/clock"): lambda: self._move_clock(_body(exchange)),
            ("GET", "/_emu/faults"): self._faults,
            ("POST", "/_emu/faults"): lambda: self._add_fault(_body(exchange)),
            ("DELETE", "/_emu/faults"): self._clear_faults,
            ("POST", "/_emu/reset"): lambda: self._reset(_body(exchange)),
            ("GET", "/_emu/scenario"): self._scenario,
            ("POST", "/_emu/scenario"): lambda: self._use_scenario(_body(exchange)),
        }
        handler = routes.get((method, path))
        if handler is None and method == "DELETE" and path.startswith("/_emu/faults/"):
            number = path.rpartition("/")[2]
            return lambda: _guarded(lambda: self._remove_fault(number))
        if handler is None:
            known = sorted({f"{route_method} {route_path or '/'}" for route_method, route_path in routes})
            raise Refusal(_problem(404, f"no {exchange.action} here; there is {', '.join(known)}"))
        chosen = handler
        return lambda: _guarded(chosen)

    def _requests(self, parameters: Mapping[str, str]) -> Response:
        known = {"origin", "action", "execution_id", "session_id", "fault"}
        # The token is the guard's.
        unknown = set(parameters) - known - {"since", "limit", "token"}
        if unknown:
            raise EmulatorError(
                f"unknown parameter {min(unknown)!r}; there is {', '.join(sorted(known))}, since, limit"
            )
        numbers = {
            name: parameters.get(name, default) for name, default in (("since", "0"), ("limit", f"{_DEFAULT_LIMIT}"))
        }
        for name, text in numbers.items():
            if not is_whole_number(text):
                raise EmulatorError(f"{name} must be a whole number, not {text!r}")
        match = {name: parameters[name] for name in known if name in parameters}
        records = self._world.recorder.requests(since=int(numbers["since"]), **match)
        limit = int(numbers["limit"])
        return json_response(200, {"requests": [each.as_json() for each in records[-limit:]] if limit else []})

    def _clear_requests(self) -> Response:
        self._world.recorder.clear()
        return Response(204)

    def _reset(self, body: Mapping[str, Any]) -> Response:
        """Forget what the body names, or everything: drives, executions, projects, requests, faults."""
        world = self._world
        resets: Mapping[str, Callable[[], None]] = {
            "drives": self._reset_drives,
            "executions": world.executions.reset,
            "projects": world.projects.reset,
            "requests": world.recorder.clear,
            "faults": self._fault_set.clear,
        }
        wanted = body.get("what", list(resets))
        if set(body) - {"what"} or not isinstance(wanted, list) or any(each not in [*resets] for each in wanted):
            raise EmulatorError(f"reset takes what: a list of {', '.join(resets)}; everything when it is left out")
        for each in wanted:
            resets[each]()
        return json_response(200, {"reset": wanted})

    def _reset_drives(self) -> None:
        for session in self._world.uploads.all():
            self._world.uploads.close(session)
        self._world.drives.reset()

    def _clock(self) -> Response:
        clock = self._world.clock
        return json_response(200, {"now": iso_utc(clock.timestamp(), digits=3), "frozen": clock.frozen})

    def _move_clock(self, body: Mapping[str, Any]) -> Response:
        if not body or set(body) - {"advance_seconds", "frozen"}:
            raise EmulatorError("the clock takes advance_seconds (a number) and frozen (true or false)")
        frozen, step = body.get("frozen"), body.get("advance_seconds", 0)
        if frozen is not None and not isinstance(frozen, bool):
            raise EmulatorError(f"frozen must be true or false, not {frozen!r}")
        if isinstance(step, bool) or not isinstance(step, int | float):
            raise EmulatorError(f"advance_seconds must be a number, not {step!r}")
        self._world.clock.advance(step)
        if frozen is not None:
            (self._world.clock.freeze if frozen else self._world.clock.run)()
        return self._clock()

    def _faults(self) -> Response:
        return json_response(
            200,
            {
                "faults": [rule.as_json() for rule in self._fault_set.rules],
                "catalogue": [_definition_json(each) for each in self._fault_set.catalogue],
            },
        )

    def _add_fault(self, body: Mapping[str, Any]) -> Response:
        return json_response(201, switch_on_entry(self._fault_set, body).as_json())

    def _remove_fault(self, number: str) -> Response:
        if not is_whole_number(number):
            raise EmulatorError(f"{number!r} is no number of a fault")
        self._fault_set.remove(int(number))
        return Response(204)

    def _clear_faults(self) -> Response:
        self._fault_set.clear()
        return Response(204)

    def _scenario(self) -> Response:
        rules = [rule.as_json() for rule in self._fault_set.rules]
        keys = ("fault", "mode", "match", "parameters", "times", "after", "request_index", "probability", "per")
        faults = [{key: rule[key] for key in keys} for rule in rules]
        return json_response(200, {"clock": iso_utc(self._world.clock.timestamp()), "faults": faults})

    def _use_scenario(self, body: Mapping[str, Any]) -> Response:
        """Replace the faults, add the projects and move the clock; settings belong to the start."""
        scenario = Scenario.parse(dict(body))
        if scenario.settings:
            raise EmulatorError(
                "settings can be given at the start only; a running emulator takes projects, clock and faults"
            )
        if scenario.clock is not None:
            self._world.clock.advance(scenario.clock - self._world.clock.now())
        for project in scenario.projects:
            self._world.projects.put(project)
        self._fault_set.clear()
        scenario.switch_on(self._fault_set)
        return self._scenario()

    def _state(self) -> Response:
        world = self._world
        now = world.clock.timestamp()
        executions = [
            {
                "execution_id": each.execution_id,
                "project": each.project.name,
                "company": each.company,
                "created": iso_utc(each.created_seconds),
                "status": each.status(now) or "not found yet",
                "finished": iso_utc(each.finished_at) if math.isfinite(each.finished_at) else None,
                "rows": each.rows,
            }
            for each in world.executions.all()[-_SHOWN_EXECUTIONS:]
        ]
        drives = [
            {
                "name": drive.name,
                "folder": str(drive.folder),
                "files": [
                    {"path": item.path, "size": item.size_bytes, "quickXorHash": item.quick_xor_hash}
                    for item in world.drives.files(drive)[:_SHOWN_FILES]
                ],
            }
            for drive in world.drives.drives
        ]
        sessions = [
            {"name": each.name, "received": each.received_bytes, "total": each.total_bytes}
            for each in world.uploads.all()
        ]
        return json_response(
            200,
            {
                "now": iso_utc(now),
                "frozen": world.clock.frozen,
                "urls": world.urls,
                "executions": executions,
                "drives": drives,
                "sessions": sessions,
            },
        )


def _status_page() -> Response:
    """What is going on, and faults to switch on during a demo; it reads everything else from `/_emu/`."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(200, headers, Path(__file__).with_name("status_page.html").read_bytes())


def _body(exchange: Exchange) -> dict[str, Any]:
    body = json_object(exchange.request.content() or b"{}")
    if body is None:
        raise EmulatorError("the body must be a JSON object")
    return body


def _guarded(handler: Handler) -> Response:
    try:
        return handler()
    except EmulatorError as error:
        return _problem(400, str(error))


def _problem(status: int, message: str) -> Response:
    return json_response(status, {"error": message})


def _definition_json(definition: FaultDefinition) -> dict[str, Any]:
    return {
        "fault": definition.name,
        "alias": definition.alias,
        "summary": definition.summary,
        "source": definition.source,
        "modes": {
            name: {
                key: {"default": value.allowed[0], "allowed": list(value.allowed)}
                if isinstance(value, Choice)
                else {"default": value}
                for key, value in mode.parameters.items()
            }
            for name, mode in definition.modes.items()
        },
    }
