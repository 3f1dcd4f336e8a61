#!/usr/bin/env python3
"""Replays what an original primary sent to our secondary, and compares the answers, field by field,
with what the original secondary answered.

  replay_secondary.py list                                  scenarios that can be replayed
  replay_secondary.py config SCENARIO                       "checksum compression" of the daemon
  replay_secondary.py prepare SCENARIO COMPONENT            the component as the conversation began
  replay_secondary.py run SCENARIO COMPONENT HOST PORT SOURCE
"""
import socket
import sys

import hast_wire as wire
import recorded

IGNORED = {"token"}  # random in each conversation


def load(name):
    return recorded.Scenario(recorded.vectors("wire")[name])


def starting_facts(scenario):
    """datasize, extentsize and so on of the secondary, from what it answered first."""
    answer = scenario.sessions[0].answers[-1][1]
    datasize = answer.get("datasize", 4189696)
    return datasize, answer.get("extentsize", 131072), answer


def prepare(scenario, path):
    session = scenario.sessions[0]
    datasize, extent, answer = starting_facts(scenario)
    model = None
    for one in scenario.sessions:
        model = recorded.model_of(one, model)
    bitmap = b""
    if answer.get("mapsize") and not answer.get("virgin"):
        bitmap = wire.expand(answer, session.answers[-1][2])
    hello = session.second_hello[1] if session.second_hello else {"resuid": 0}
    recorded.write_component(path, datasize, extent, 0 if answer.get("virgin") else hello["resuid"],
                             answer.get("localcnt", 0), answer.get("remotecnt", 0), bitmap,
                             model.initial.items(), role="secondary")


class Complaint(Exception):
    pass


def compare_fields(what, ours, theirs):
    one = {name: value for name, value in ours.items() if name not in IGNORED}
    other = {name: value for name, value in theirs.items() if name not in IGNORED}
    if one != other:
        raise Complaint(f"{what}: we answer {one}, the original {other}")


def with_token(raw, old, new):
    if raw.count(old) != 1:
        raise Complaint("the recorded token is not where it should be")
    return raw.replace(old, new)


def compare_maps(ours, theirs):
    """Ours may report more: the extents of the last requests (safety rule of the secondary)."""
    if len(ours) != len(theirs):
        raise Complaint(f"our map has {len(ours)} bytes, the original's {len(theirs)}")
    for mine, original in zip(ours, theirs):
        if original & ~mine:
            raise Complaint("our map lacks bits that the original's has")


def compare_second_answer(ours, ours_payload, theirs, theirs_payload):
    payload_fields = {"compression", "checksum", "hash", "size"}
    compare_fields("handshake step 2",
                   {name: value for name, value in ours.items() if name not in payload_fields},
                   {name: value for name, value in theirs.items() if name not in payload_fields})
    if list(ours) != list(theirs) and set(ours) == set(theirs):
        raise Complaint(f"the order of our fields {list(ours)} is not the original's {list(theirs)}")
    if "mapsize" in theirs and theirs["mapsize"]:
        compare_maps(wire.expand(ours, ours_payload), wire.expand(theirs, theirs_payload))


def by_seq(replies):
    """seq -> its replies in order, data expanded; how they were packed is compared by name."""
    table = {}
    for _, fields, payload, _ in replies:
        essence = {name: value for name, value in fields.items() if name not in ("hash", "size")}
        data = wire.expand(fields, payload) if "size" in fields else None
        table.setdefault(fields["seq"], []).append((essence, data))
    return table


def replay_session(session, where):
    first = wire.dial(*where)
    first.sendall(session.hello[3])
    version, fields, _ = wire.receive(first)
    compare_fields("handshake step 1", fields, session.answers[0][1])
    if version != session.answers[0][0]:
        raise Complaint(f"header version {version}, the original's {session.answers[0][0]}")
    if "errmsg" in fields:
        return 0
    second = wire.dial(*where)
    second.sendall(with_token(session.second_hello[3], session.answers[0][1]["token"], fields["token"]))
    _, fields, payload = wire.receive(first)
    compare_second_answer(fields, payload, *session.answers[1][1:3])
    first.sendall(b"".join(raw for _, _, _, raw in session.requests))
    replies = []
    for _ in session.replies:
        version, fields, payload = wire.receive(second)
        replies.append((version, fields, payload, b""))
        if version != session.replies[0][0]:
            raise Complaint(f"a reply of version {version}")
    ours, theirs = by_seq(replies), by_seq(session.replies)
    for seq, expected in theirs.items():
        got = ours.get(seq, [])
        if [one[0] for one in got] != [one[0] for one in expected]:
            raise Complaint(f"replies to request {seq}: ours {[one[0] for one in got]}, "
                            f"the original's {[one[0] for one in expected]}")
        if [one[1] for one in got] != [one[1] for one in expected]:
            raise Complaint(f"the data of the reply to request {seq} differ")
    second.settimeout(0.3)
    try:
        raise Complaint(f"a reply too many: {wire.receive(second)[1]}")
    except (socket.timeout, wire.Closed):
        pass
    first.close()
    second.close()
    return len(session.replies)


def run(scenario, path, where):
    replies, model = 0, None
    for session in scenario.sessions:
        replies += replay_session(session, where)
        model = recorded.model_of(session, model)
        datasize, extent, _ = starting_facts(scenario)
        offset = recorded.media_for(datasize, extent) - datasize
        wrong = list(model.differences(path, offset))
        if wrong:
            raise Complaint(f"the component differs at {wrong[:5]}")
    sectors = len(model.now) if model else 0
    print(f"{scenario.name}: {len(scenario.sessions)} sessions, {replies} replies, {sectors} sectors as the original's")


def main():
    command, *rest = sys.argv[1:]
    if command == "list":
        print("\n".join(recorded.vectors("wire")))
        return 0
    scenario = load(rest[0])
    if command == "config":
        print(scenario.params.get("checksum", "none"), scenario.params.get("compression", "hole"))
    elif command == "prepare":
        prepare(scenario, rest[1])
    else:
        try:
            run(scenario, rest[1], (rest[2], int(rest[3]), rest[4]))
        except (Complaint, wire.Closed) as error:
            print(f"{scenario.name}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
