/** How much heap the isolate of a running Worker uses, asked through V8's inspector. */

import { once } from 'node:events';
import { WebSocket } from 'ws';

interface InspectorTarget {
  title?: string;
  webSocketDebuggerUrl: string;
}

/**
 * Bytes of the heap in use. A connection for each question: one that stays makes workerd slower.
 *
 * @param name the Worker's, as Miniflare knows it
 */
export async function heapUsedBytes(inspectorPort: number, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${inspectorPort}/json`);
  const targets = (await answer.json()) as InspectorTarget[];
  const target = targets.find(({ title }) => title?.includes(name)) ?? targets[0];
  if (target === undefined) throw new Error('The inspector knows no isolate');
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await once(socket, 'open');
  try {
    // Garbage is not what the heap holds.
    await call(socket, 1, 'HeapProfiler.collectGarbage');
    const { usedSize } = await call<{ usedSize: number }>(socket, 2, 'Runtime.getHeapUsage');
    return usedSize;
  } finally {
    socket.terminate();
  }
}

function call<Result>(socket: WebSocket, id: number, method: string): Promise<Result> {
  return new Promise((resolve, reject) => {
    const listen = (data: unknown): void => {
      const message = JSON.parse(String(data)) as { id?: number; result?: Result };
      if (message.id !== id) return;
      socket.off('message', listen);
      resolve(message.result as Result);
    };
    socket.on('message', listen);
    socket.once('close', () => reject(new Error('The inspector closed the connection')));
    socket.send(JSON.stringify({ id, method }));
  });
}
