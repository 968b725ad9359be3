# SPDX-License-Identifier: Apache-2.0
"""The Python testee: answers cases (wire-format/README.md) on the backend that SHMLANE_BACKEND names."""

from __future__ import annotations

import json
import logging
import os
import struct
import sys
from typing import Any

import numpy as np
import PIL.Image

from shmlane import RawObject, _backend, errors
from shmlane.codec import Context, Take, parse_metadata
from shmlane.codecs.image import _MODES
from shmlane.codecs.ndarray import describe_dtype, parse_dtype
from shmlane.registry import Registry

BACKEND: Any = _backend.load(os.environ["SHMLANE_BACKEND"])
CONTEXT = Context(Registry())
DEFAULT_MAX_FRAME = 4 << 30
_BYTES = b'{"type":"bytes"}'


# ---- Objects ---------------------------------------------------------------------------------------------------------


def json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {"object": {key: json_value(item) for key, item in value.items()}}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"integer": str(value)}
    return value


def tagged(metadata: dict[str, Any], obj: Any, payload: bytes) -> dict[str, Any]:
    """What ``obj`` is; the metadata tell lists of objects and lists of JSON apart."""
    if isinstance(obj, RawObject):
        return {"type": "unknown", "metadata": json_value(obj.metadata), "payload": bytes(obj.payload).hex()}
    kind = metadata["type"]
    if kind == "bytes":
        return {"type": kind, "payload": bytes(obj).hex()}
    if kind == "text":
        return {"type": kind, "text": obj}
    if kind == "json":
        return {"type": kind, "value": json_value(obj)}
    if kind == "ndarray":
        items = np.ascontiguousarray(obj).tobytes().hex()
        return {"type": kind, "dtype": describe_dtype(obj.dtype), "shape": list(obj.shape), "items": items}
    if kind == "image":
        return image(metadata, obj, payload)
    entries = metadata["items"]
    values = obj.values() if kind == "map" else obj
    parts = [payload[entry["offset"] : entry["offset"] + entry["size"]] for entry in entries]
    items = [tagged(entry["metadata"], *rest) for entry, *rest in zip(entries, values, parts, strict=True)]
    return {"type": kind, "items": [list(pair) for pair in zip(obj, items, strict=True)] if kind == "map" else items}


def image(metadata: dict[str, Any], obj: Any, payload: bytes) -> dict[str, Any]:
    """Of pixels for which Pillow has no mode an array comes, in RGB order like all others."""
    if isinstance(obj, PIL.Image.Image):
        (width, height), (order, dtype), pixels = obj.size, _MODES[obj.mode], obj.tobytes()
    else:
        (height, width), order = obj.shape[:2], metadata["order"].replace("BGR", "RGB")
        dtype, pixels = describe_dtype(obj.dtype), obj.tobytes()
    facts = {"type": "image", "width": width, "height": height, "dtype": dtype, "order": order}
    if metadata["encoding"] != "raw":
        return {**facts, "encoding": metadata["encoding"], "file": payload.hex()}
    return {**facts, "pixels": pixels.hex()}


# ---- Cases -----------------------------------------------------------------------------------------------------------


def failure(error: errors.Error) -> dict[str, Any]:
    return {"error": type(error).__name__, "what": str(error)}


def frame(case: dict[str, Any]) -> dict[str, Any]:
    place = int(case["segment_id"], 16), int(case["position"], 16)
    stage = "frame"
    try:
        text, payload = BACKEND.parse_frame(bytes.fromhex(case["bytes"]), *place)
        stage = "metadata"
        metadata = parse_metadata(text)
        stage = "object"
        obj = CONTEXT.codecs.decode(metadata, memoryview(bytearray(payload)), CONTEXT, Take.OWN)
    except errors.Error as error:
        return {"stage": stage, **failure(error)}
    return {
        "metadata_text": text.decode(),
        "payload": payload.hex(),
        "object": tagged(metadata, obj, payload),
        "written": BACKEND.make_frame(text, payload, *place).hex(),
    }


def stdio(case: dict[str, Any]) -> dict[str, Any]:
    source, target = os.memfd_create("source"), os.memfd_create("target")
    try:
        os.write(source, bytes.fromhex(case["bytes"]))
        os.lseek(source, 0, os.SEEK_SET)
        reader = BACKEND.StdioReader(source, case.get("max_frame", DEFAULT_MAX_FRAME))
        writer = BACKEND.StdioWriter(target)
        frames: list[dict[str, str]] = []
        answer: dict[str, Any] = {"frames": frames}
        try:
            while (one := reader.read()) is not None:
                frames.append({"metadata_text": one[0].decode(), "payload": bytes(one[1]).hex()})
                assert memoryview(one[1]).nbytes == 0 or np.frombuffer(one[1], np.uint8).ctypes.data % 64 == 0
                writer.write(one[0], [one[1]])
            assert reader.read() is None
        except errors.Error as error:
            return {**answer, **failure(error)}
        writer.end()
        written = os.pread(target, os.lseek(target, 0, os.SEEK_CUR), 0)
        position = os.lseek(source, 0, os.SEEK_CUR)
        return {**answer, "bytes_read": reader.offset, "position": position, "written": written.hex()}
    finally:
        os.close(source)
        os.close(target)


def inspect(case: dict[str, Any]) -> dict[str, Any]:
    return dict(BACKEND.inspect_segment(case["name"]))


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {"capacity": case.get("capacity"), "stale": case.get("stale", "keep"), "unlink": case.get("unlink", False)}


def pop(case: dict[str, Any]) -> dict[str, Any]:
    """Errors that cost one object are told among the objects."""
    consumer = BACKEND.Consumer(case["name"], **options(case))
    try:
        objects: list[dict[str, Any]] = []
        while True:
            dropped = consumer.stat()["dropped"]
            try:
                lease = consumer.acquire(0)
            except errors.Empty:
                return {"objects": objects, "then": "empty"}
            except errors.Corrupt as error:
                if consumer.stat()["dropped"] == dropped:
                    raise
                objects.append(failure(error))
                continue
            if lease is None:
                return {"objects": objects, "then": "end"}
            text, payload = lease.metadata.decode(), bytes(memoryview(lease)).hex()
            objects.append({"metadata_text": text, "payload": payload, "attempt": lease.attempt})
    finally:
        consumer.close()


def push(case: dict[str, Any]) -> dict[str, Any]:
    rules = {"policy": case.get("policy", "block"), "max_objects": case.get("max_objects", 0)}
    producer = BACKEND.Producer(case["name"], wait_for_consumer=None, **rules, **options(case))
    try:
        place = producer.reserve(_BYTES, case["nbytes"], 0)
        if place is None:
            return {"result": "dropped"}
        held = [one for one in inspect(case)["participants"] if one["pid"] == os.getpid() and one["holds"]]
        memoryview(place)[:] = b"\xa5" * case["nbytes"]
        place.commit()
        return {"position": held[0]["holds"][0]["position"]}
    except errors.Full:
        return {"result": "full"}
    finally:
        producer.close()


def reap(case: dict[str, Any]) -> dict[str, Any]:
    return {"reaped": BACKEND.reap_segment(case["name"])}


# ---- Streams and tensors: their items are bytes here, so that a dtype that NumPy lacks does no harm ------------------


def array_facts(native: Any, items: bytes) -> dict[str, Any]:
    return {"dtype": json.loads(native.dtype), "shape": list(native.shape), "items": items.hex()}


def opened(name: str) -> tuple[Any, np.ndarray]:
    """The stream, and an array for its values."""
    native = BACKEND.Stream(name)
    dtype = np.dtype((np.void, parse_dtype(json.loads(native.dtype)).itemsize))
    native.set_dtype(dtype)
    return native, np.zeros(native.shape, dtype)


def read(case: dict[str, Any]) -> dict[str, Any]:
    native, items = opened(case["name"])
    try:
        native.read(items)
        facts = {"count": native.last_read, "slots": native.slots, **native.stat()}
        return {**array_facts(native, items.tobytes()), **facts}
    finally:
        native.close()


def write(case: dict[str, Any]) -> dict[str, Any]:
    native, items = opened(case["name"])
    try:
        value = np.frombuffer(bytes.fromhex(case["value"]), items.dtype) if items.nbytes else items
        assert native.write(value.reshape(items.shape), 0)
        return {"count": native.count}
    except errors.TimedOut:
        return {"result": "locked"}
    finally:
        native.close()


def attach(case: dict[str, Any]) -> dict[str, Any]:
    native = BACKEND.Tensor(case["name"])
    try:
        return array_facts(native, bytes(memoryview(native.memory())))
    finally:
        native.close()


def lock(case: dict[str, Any]) -> dict[str, Any]:
    native = BACKEND.Tensor(case["name"])
    take, give_back = {"read": ("lock_shared", "unlock_shared"), "write": ("lock", "unlock")}[case["way"]]
    try:
        taken = getattr(native, take)(0)
        if taken:
            getattr(native, give_back)()
        return {"result": "taken" if taken else "held"}
    finally:
        native.close()


def create(case: dict[str, Any]) -> dict[str, Any]:
    kind = {"stream": BACKEND.Stream, "tensor": BACKEND.Tensor}[case["kind"]]
    kind(case["name"], dtype=json.dumps(case["dtype"]).encode(), shape=case["shape"]).close()
    return {}


def backend(case: dict[str, Any]) -> dict[str, Any]:
    return {"backend": BACKEND.__name__.removeprefix("shmlane._")}


CASES = {
    case.__name__: case for case in (backend, frame, stdio, inspect, pop, push, reap, read, write, attach, lock, create)
}


def main() -> None:
    logging.disable()
    for line in sys.stdin:
        case = json.loads(line)
        try:
            answer = CASES[case["case"]](case)
        except errors.Error as error:
            answer = failure(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
