/** Who sends most, and who has no credit left. */

import type { JSX } from 'preact';
import type { ShardView } from '../../../../src/monitor/view.ts';
import { Table } from '../../parts/table.tsx';
import { Count } from './shown.tsx';

const SHOWN = 20;

export function Producers({ shards }: { shards: readonly ShardView[] }): JSX.Element {
  const all = shards
    .flatMap(({ shard, producers }) => producers.map((producer) => ({ shard, ...producer })))
    .sort((left, right) => right.messages - left.messages);
  return (
    <section class="card" aria-labelledby="producers">
      <h2 id="producers">Producers</h2>
      {all.length === 0 ? (
        <p class="empty">
          Nobody has sent anything since the last report. <code>sluice sessions list</code> shows who is
          connected.
        </p>
      ) : (
        <Table
          label="Producers that sent most since the last report"
          columns={[
            { title: 'producer' },
            { title: 'shard' },
            { title: 'messages since the last report' },
            { title: 'credit' },
          ]}
          rows={all.slice(0, SHOWN).map(({ shard, producer, messages, creditMessages }) => ({
            key: `${shard} ${producer}`,
            cells: [
              <bdi key="producer" title={producer}>
                {producer}
              </bdi>,
              shard,
              <Count key="messages" value={messages} unit="messages" />,
              creditMessages === null ? (
                <span key="credit" title="A raw socket has no credit">
                  –
                </span>
              ) : creditMessages === 0 ? (
                <b key="credit" class="text-bad">
                  none left
                </b>
              ) : (
                <Count key="credit" value={creditMessages} unit="messages" />
              ),
            ],
          }))}
        />
      )}
    </section>
  );
}
