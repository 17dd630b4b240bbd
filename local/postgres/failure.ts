/** Words for a Postgres that did not start: what its log says, and what to do about it. */
import { open } from 'node:fs/promises';

const TAIL_BYTES = 4096;
const TAIL_LINES = 15;

const REMEDIES: readonly [RegExp, string][] = [
  [/could not bind|Address already in use/, 'Another program uses the port: end it, or use another port.'],
  [
    /database files are incompatible|initialized by PostgreSQL version|unsupported version/,
    'The data was made by another version of Postgres: remove the data directory (its data is lost), or dump it with that version first.',
  ],
  [/No space left on device|Disk quota exceeded/, 'The disk is full: free some space.'],
  [
    /could not map anonymous shared memory|could not create shared memory|could not resize shared memory/,
    'There is too little memory: give a smaller shared_buffers in the settings.',
  ],
  [
    /pre-existing shared memory block/,
    'Processes of an earlier Postgres still use the data: end them ("ps -ef | grep postgres:"), then try again.',
  ],
  [/error while loading shared libraries|Library not loaded/, 'Its libraries are missing: run npm rebuild.'],
  [
    /has wrong ownership|invalid permissions/,
    'The data directory must belong to the user that runs Postgres, mode 0700.',
  ],
  [
    /unrecognized configuration parameter|invalid value for parameter|is outside the valid range/,
    'Correct the settings.',
  ],
  [
    /could not locate a valid checkpoint record|PANIC|invalid page in block/,
    'The data is damaged: remove the data directory (its data is lost) and start again.',
  ],
  [/Permission denied/, 'The user that runs Postgres cannot reach the data directory or its parents.'],
];

/** The last lines of Postgres's log file, at most 4 KiB; empty when there is no such file. */
export async function logTail(logFile: string): Promise<string> {
  const file = await open(logFile, 'r').catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
  } finally {
    await file.close();
  }
}

/** An error that says what failed, what the programs and the log said, and the remedy where one is known. */
export function startFailure(what: string, said: string, dataDirectory: string): Error {
  const remedy = REMEDIES.find(([pattern]) => pattern.test(said))?.[1];
  return new Error(
    [
      what,
      remedy ?? 'See the lines below.',
      `Data directory: ${dataDirectory}`,
      said.trim() && `Postgres said:\n${said.trim().replace(/^/gm, '  ')}`,
    ]
      .filter(Boolean)
      .join('\n'),
  );
}
