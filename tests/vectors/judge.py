# SPDX-License-Identifier: Apache-2.0
"""What a testee must answer to each vector of wire-format/vectors/v1, and what in its answers is wrong."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..implementations import ROOT
from .segments import Placed, bytes_of
from .testees import Testee

VECTORS = ROOT / "wire-format" / "vectors" / "v1"
INDEX: dict[str, list[str]] = {
    group: names for group, names in json.loads((VECTORS / "index.json").read_text()).items() if group != "version"
}


def faults(testee: Testee, group: str, name: str) -> list[str]:
    """What is wrong with the testee's answers to one vector."""
    path = VECTORS / group / name
    facts = json.loads(path.with_suffix(".json").read_text())
    if group.startswith(("segment/", "array/")):
        return _segment(testee, bytes_of(path.with_suffix(".hex")), facts)
    data = path.with_suffix(".bin").read_bytes()
    return (_frame if group.startswith("frame/") else _stdio)(testee, data, facts)


def _frame(testee: Testee, data: bytes, facts: dict[str, Any]) -> list[str]:
    case = {"case": "frame", "bytes": data.hex(), "segment_id": facts["segment_id"], "position": facts["position"]}
    answer = testee.ask(case)
    if "stage" in facts:
        place = f"position {int(facts['position'], 16)}" if facts["stage"] == "frame" else ""
        return _differences({"stage": facts["stage"]}, answer) + _refusal(facts, place, answer)
    expected = {key: facts[key] for key in ("metadata_text", "payload", "object")}
    if answer.get("object", {}).get("type") == "unknown" and facts.get("may_be_unknown"):
        del expected["object"]
    found = _differences(expected, answer)
    if not found and (answer["written"] == data.hex()) != facts["canonical"]:
        found.append("written: the frame anew is not the vector, or is and should not be")
    return found


def _stdio(testee: Testee, data: bytes, facts: dict[str, Any]) -> list[str]:
    limit = {"max_frame": facts["max_frame"]} if "max_frame" in facts else {}
    answer = testee.ask({"case": "stdio", "bytes": data.hex(), **limit})
    found = _differences({"frames": facts["frames"]}, answer)
    if "error" in facts:
        return found + _refusal(facts, f"byte {facts['error_offset']}", answer)
    found += _differences({"bytes_read": facts["bytes_read"], "position": facts["bytes_read"]}, answer)
    if not found and (answer["written"] == data.hex()) != facts["canonical"]:
        found.append("written: the stream anew is not the vector, or is and should not be")
    return found


def _refusal(facts: dict[str, Any], place: str, answer: dict[str, Any]) -> list[str]:
    """A refusal says what rule is broken, and where."""
    found = _differences({"error": facts["error"]}, answer)
    what = str(answer.get("what"))
    if place and not (f"{place} " in what or f"{place}:" in what or f"{place}," in what):
        found.append(f"what: {what!r} does not name {place}")
    if place and facts["rule"] not in what:
        found.append(f"what: {what!r} does not name {facts['rule']}")
    return found


def _segment(testee: Testee, data: bytes, facts: dict[str, Any]) -> list[str]:
    with Placed(data, facts["living"]) as placed:
        for number, step in enumerate(facts["steps"]):
            step = dict(step)
            expected, do = step.pop("expect"), step.pop("do")
            peeks = do == "peek"
            answer = placed.peek(expected) if peeks else testee.ask({"case": do, "name": placed.name, **step})
            found = _differences(expected, answer)
            if found:
                return [f"step {number} ({do}): {fault}" for fault in found]
    return []


def _differences(expected: Any, answer: Any, where: str = "") -> list[str]:
    """Where the answer has not what is expected; what else it has does not matter."""
    if isinstance(expected, dict) and isinstance(answer, str) and ("hex" in expected or "sha256" in expected):
        data = bytes.fromhex(answer)
        good = data.hex() == expected["hex"] if "hex" in expected else _digest(data) == expected["sha256"]
        return [] if good else [f"{where}: other bytes ({len(data)}): {answer[:80]}"]
    if isinstance(expected, dict) and isinstance(answer, dict):
        missing = [f"{where}.{key}: missing in {str(answer)[:300]}" for key in expected.keys() - answer.keys()]
        shared = [key for key in expected if key in answer]
        return missing + [
            fault for key in shared for fault in _differences(expected[key], answer[key], f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(answer, list) and len(expected) == len(answer):
        pairs = zip(expected, answer, strict=True)
        return [fault for i, (a, b) in enumerate(pairs) for fault in _differences(a, b, f"{where}[{i}]")]
    if type(expected) is type(answer) and expected == answer:
        return []
    return [f"{where}: {str(answer)[:300]}, not {str(expected)[:300]}"]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
