import { afterEach, describe, test } from 'vitest';
import { NodeSqlite } from '../../../support/node-sqlite.ts';
import { SQLITE_EVENT_CASES } from '../../../support/sqlite-event-cases.ts';

describe('the event engine in Node’s SQLite', () => {
  let sqlite: NodeSqlite | undefined;
  afterEach(() => sqlite?.close());

  test.each(SQLITE_EVENT_CASES)('$name', async ({ run }) => {
    sqlite = new NodeSqlite();
    await run(sqlite);
  });
});
