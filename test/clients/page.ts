/**
 * The script of a page that sends with the client, and tells the test over its own socket what its storage found and
 * took, and what was acked. Its address says which storage, which run, and where to send to.
 */

import { type ClientStorage, SluiceClient, type StoredInstance } from '../../src/client/index.ts';
import { indexedDbStorage, memoryStorage, webStorage } from '../../src/client/storages/index.ts';
import type { PageReport } from './page-report.ts';

// What is used of a browser: this file is checked without the types of browsers.
const { location, localStorage } = globalThis as unknown as {
  location: { search: string; host: string };
  localStorage: Parameters<typeof webStorage>[0];
};

/** Messages of the last run, which ends by itself. */
const LAST_MESSAGES = 50;
const EVERY_MS = 4;

const parameters = new URLSearchParams(location.search);
const run = Number(parameters.get('run'));
const isLast = parameters.get('last') === 'true';

const reports = new WebSocket(`ws://${location.host}/reports`);
const report = (what: PageReport): void => reports.send(JSON.stringify(what));

function storageNamed(name: string | null): ClientStorage {
  if (name === 'IndexedDB') return indexedDbStorage('sluice-test');
  if (name === 'localStorage') return webStorage(localStorage, 'sluice-test');
  // Nothing that outlives the page.
  return memoryStorage();
}

function watched(storage: ClientStorage): ClientStorage {
  return {
    begin: (instance) => storage.begin(instance),
    saveSession: (instance, session) => storage.saveSession(instance, session),
    trim: (instance, upTo) => storage.trim(instance, upTo),
    discard: (instance, messages) => storage.discard(instance, messages),
    setAside: (instance, batch) => storage.setAside(instance, batch),
    forget: (instance) => storage.forget(instance),
    close: () => storage.close(),
    async load() {
      const found: readonly StoredInstance[] = await storage.load();
      report({
        type: 'found',
        texts: found.flatMap(({ acked, batches, inDoubt }) => [
          ...batches.flatMap(({ first, text }) =>
            text.split('\n').filter((_, index) => first + index > acked),
          ),
          ...inDoubt.flatMap(({ text }) => text.split('\n')),
        ]),
      });
      return found;
    },
    async append(instance, batch) {
      await storage.append(instance, batch);
      report({ type: 'kept', texts: batch.text.split('\n') });
    },
  };
}

async function main(): Promise<void> {
  const client = new SluiceClient({
    url: parameters.get('url') ?? '',
    storage: watched(storageNamed(parameters.get('storage'))),
    onEvent: ({ type, ...event }) => report({ type: 'event', name: type, event: JSON.stringify(event) }),
  });
  let n = 0;
  const send = (): void => {
    n += 1;
    const text = JSON.stringify({ run, n, text: `°C 🙂 ${'x'.repeat(n % 50)}` });
    client.sendText(text).then(
      () => report({ type: 'acked', run, text }),
      (error: { code: string }) => report({ type: 'refused', text, code: error.code }),
    );
  };
  if (!isLast) {
    setInterval(() => {
      for (let count = n % 4; count >= 0; count -= 1) send();
    }, EVERY_MS);
    return;
  }
  while (n < LAST_MESSAGES) send();
  await client.flush();
  const texts = client.inDoubt.flatMap((doubt) => doubt.texts);
  const { unacked, timedOut } = await client.close();
  report({ type: 'closed', inDoubt: texts, unacked, timedOut });
}

reports.addEventListener('open', () => void main());
