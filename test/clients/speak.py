"""Speaks over one WebSocket with Python's `websockets`, and prints what comes back.

Standard input has a JSON object: `url`, `protocol` (or null) and `frames`, a list of {"text"}, {"textBytes"} or {"binary"},
the latter two in hexadecimal. With `sluice.v1` the answer to the first frame is awaited before the others are sent, and the
server closes; otherwise the client closes once all is sent. Standard output gets {"received": [...], "code": n}.
"""

import asyncio
import json
import sys

import websockets
from websockets.frames import OP_TEXT


async def speak(url, protocol, frames):
    received = []
    async with websockets.connect(
        url, subprotocols=[protocol] if protocol else None, compression=None
    ) as socket:
        is_v1 = socket.subprotocol == "sluice.v1"
        for index, frame in enumerate(frames):
            if "text" in frame:
                await socket.send(frame["text"])
            elif "binary" in frame:
                await socket.send(bytes.fromhex(frame["binary"]))
            else:
                # `send` takes a str, and would encode it: these bytes are not UTF-8.
                await socket.write_frame(True, OP_TEXT, bytes.fromhex(frame["textBytes"]))
            if is_v1 and index == 0:
                received.append(await socket.recv())
        if not is_v1:
            await socket.close()
        try:
            while True:
                received.append(await socket.recv())
        except websockets.ConnectionClosed:
            pass
        return {"received": received, "code": socket.close_code}


order = json.load(sys.stdin)
print(json.dumps(asyncio.run(speak(order["url"], order["protocol"], order["frames"]))))
