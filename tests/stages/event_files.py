"""A strict reader of TensorBoard's event files, with protobuf's own parser and messages as TensorFlow's
event.proto declares them.
"""

import struct
from pathlib import Path

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict:
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto2")
    declared = {
        "Value": [("tag", 1, FIELD.TYPE_STRING), ("simple_value", 2, FIELD.TYPE_FLOAT)],
        "Summary": [("value", 1, "Value")],
        "SessionLog": [("status", 1, FIELD.TYPE_INT32)],
        "Event": [
            ("wall_time", 1, FIELD.TYPE_DOUBLE),
            ("step", 2, FIELD.TYPE_INT64),
            ("file_version", 3, FIELD.TYPE_STRING),
            ("summary", 5, "Summary"),
            ("session_log", 7, "SessionLog"),
        ],
    }
    for name, fields in declared.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = FIELD.LABEL_REPEATED if field == "value" else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".t.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


EVENT = _messages()


def _checked(data: bytes, masked: bytes) -> bytes:
    rotated = (struct.unpack("<I", masked)[0] - 0xA282EAD8) & 0xFFFFFFFF
    assert google_crc32c.value(data) == (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
    return data


def read_events(path: Path) -> tuple[int, list[tuple[int, dict[str, float]]]]:
    """(the step the session began with, (step, values) of each later event); every byte is accounted for."""
    assert "tfevents" in path.name
    data, at, events = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack("<Q", _checked(data[at : at + 8], data[at + 8 : at + 12]))
        record = _checked(data[at + 12 : at + 12 + length], data[at + 12 + length : at + 16 + length])
        event = EVENT.FromString(record)
        assert event.SerializeToString(deterministic=True) == record  # no field that we do not know of
        assert event.wall_time > 1e9
        events.append(event)
        at += 16 + length
    assert at == len(data)
    version, start, *steps = events
    assert version.file_version == "brain.Event:2"
    assert start.session_log.status == 1
    return start.step, [
        (event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in steps
    ]
