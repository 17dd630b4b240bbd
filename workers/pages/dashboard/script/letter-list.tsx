/** The messages of a group of dead letters, a page at a time, and one of them with its payload. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { shownAge, shownBytes } from '../../../../src/monitor/shown-figures.ts';
import type { DeadLetterGroup } from '../../../../src/outbox/dead-letter-groups.ts';
import { Table } from '../../parts/table.tsx';
import { shardPath } from './actions.tsx';
import type { Dashboard } from './dashboard.ts';

/** A letter as the routes tell of it. */
interface Letter {
  id: number;
  producer: string;
  receivedAt: string;
  failedAt: string;
  reason: string;
  detail: string | null;
  hint: string | null;
  excerpt: string;
  payloadBytes: number;
}

const PAGE = 50;

export interface LetterListProps {
  dashboard: Dashboard;
  sink: string;
  shard: number;
  group: DeadLetterGroup;
}

export function LetterList({ dashboard, sink, shard, group }: LetterListProps): JSX.Element {
  const [letters, setLetters] = useState<Letter[]>();
  const [next, setNext] = useState<number | null>(0);
  const [trouble, setTrouble] = useState<string>();
  const [opened, open] = useState<number>();

  async function load(after: number, before: readonly Letter[]): Promise<void> {
    try {
      const found = await dashboard.api.get<{ letters: Letter[]; next: number | null }>(
        shardPath(sink, shard, 'dead-letters'),
        { after, limit: PAGE, group: JSON.stringify(group.key) },
      );
      setLetters([...before, ...found.letters]);
      setNext(found.next);
      setTrouble(undefined);
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
    }
  }
  useEffect(() => {
    void load(0, []);
  }, [group.count, dashboard.actions]);

  return (
    <>
      {trouble === undefined ? null : (
        <p class="text-bad" role="alert">
          {trouble}
        </p>
      )}
      {letters === undefined ? (
        <p class="empty">Reading…</p>
      ) : (
        <Table
          label="Dead letters of this reason"
          columns={[
            { title: 'id' },
            { title: 'refused' },
            { title: 'producer', isText: true },
            { title: 'bytes' },
            { title: 'begins with', isLong: true },
          ]}
          rows={letters.map((letter) => ({
            key: String(letter.id),
            cells: [
              <button key="open" type="button" class="plain" onClick={() => open(letter.id)}>
                {letter.id}
              </button>,
              <span key="refused" title={letter.failedAt}>
                {shownAge(Date.parse(letter.failedAt), dashboard.nowMs)}
              </span>,
              <bdi key="producer">{letter.producer}</bdi>,
              shownBytes(letter.payloadBytes),
              <code key="excerpt">
                <bdi>{letter.excerpt.slice(0, 120)}</bdi>
              </code>,
            ],
          }))}
        />
      )}
      {next === null || letters === undefined ? null : (
        <button type="button" onClick={() => load(next, letters)}>
          Show {PAGE} more
        </button>
      )}
      {opened === undefined ? null : (
        <LetterDialog
          dashboard={dashboard}
          path={shardPath(sink, shard, 'dead-letters')}
          id={opened}
          onClose={() => open(undefined)}
        />
      )}
    </>
  );
}

interface LetterDialogProps {
  dashboard: Dashboard;
  path: string;
  id: number;
  onClose(): void;
}

function LetterDialog({ dashboard, path, id, onClose }: LetterDialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [letter, setLetter] = useState<Letter & { payload: string }>();
  const [payload, setPayload] = useState('');
  const [trouble, setTrouble] = useState<string>();
  const [isRunning, setRunning] = useState(false);
  useEffect(() => {
    const element = dialog.current as HTMLDialogElement;
    element.showModal();
    dashboard.api.get<Letter & { payload: string }>(`${path}/${id}`).then(
      (found) => {
        setLetter(found);
        setPayload(found.payload);
      },
      (error: Error) => setTrouble(error.message),
    );
    return () => element.close();
  }, [dashboard, path, id]);

  async function act(verb: 'retry' | 'drop'): Promise<void> {
    const isEdited = verb === 'retry' && payload !== letter?.payload;
    setRunning(true);
    try {
      const answer = await dashboard.api.post<{ retried?: number; refused?: number; isFull?: boolean }>(
        `${path}/${verb}`,
        { ids: [id], ...(isEdited ? { payload } : {}) },
      );
      if (verb === 'retry' && answer.retried === 0) {
        throw new Error(
          answer.isFull ? 'There is no room for it in the outbox: try later.' : 'It is no longer there.',
        );
      }
      const told = (answer.refused ?? 0) > 0 ? 'was refused by the schema again' : 'will be written again';
      dashboard.done(
        `Dead letter ${id} ${verb === 'drop' ? 'was dropped' : told}${isEdited ? ', with the text as edited' : ''}.`,
      );
      onClose();
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
      setRunning(false);
    }
  }

  return (
    <dialog ref={dialog} class="letters" aria-labelledby="letter" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void act('retry');
        }}
      >
        <h2 id="letter">Dead letter {id}</h2>
        {letter === undefined ? null : (
          <>
            <p>
              <bdi>{letter.reason}</bdi>
            </p>
            {[letter.detail, letter.hint].map((text) =>
              text === null ? null : (
                <p key={text} class="quiet">
                  <bdi>{text}</bdi>
                </p>
              ),
            )}
            <p class="quiet small">
              from <bdi>{letter.producer}</bdi>, received {letter.receivedAt}, refused {letter.failedAt}
            </p>
            <div class="field">
              <label for="payload">The message</label>
              <p class="hint" id="payload-hint">
                What is changed here is written in its place.
              </p>
              <textarea
                id="payload"
                spellcheck={false}
                aria-describedby="payload-hint"
                value={payload}
                onInput={(event) => setPayload(event.currentTarget.value)}
              />
            </div>
          </>
        )}
        {trouble === undefined ? null : (
          <p class="text-bad" role="alert">
            {trouble}
          </p>
        )}
        <div class="row">
          <button type="submit" class="main" disabled={isRunning || letter === undefined}>
            {letter !== undefined && payload !== letter.payload ? 'Retry as edited' : 'Retry'}
          </button>
          <button type="button" disabled={isRunning || letter === undefined} onClick={() => act('drop')}>
            Drop for good
          </button>
          <button type="button" onClick={onClose}>
            Close
          </button>
        </div>
      </form>
    </dialog>
  );
}
