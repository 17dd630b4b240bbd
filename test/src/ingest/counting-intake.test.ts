import { expect, test } from 'vitest';
import { CountingIntake } from '../../../src/ingest/counting-intake.ts';
import { startProducer } from '../../../src/ingest/intake.ts';

test('counts frames, looks into none, and is never busy', async () => {
  const intake = new CountingIntake();
  const producer = startProducer('p', 0);
  for (const frame of ['{}', 'no JSON at all', '1\n2', new ArrayBuffer(3)]) {
    expect(intake.receive(producer, frame, 0)).toEqual({ accepted: 0, errorFrame: undefined, isFull: false });
  }
  intake.flush();
  await intake.drained();
  expect(intake.stats()).toMatchObject({ received: 4, buffered: 0, flushed: 0, refused: {} });
  expect([intake.isBusy, intake.isWriting, intake.fill]).toEqual([false, false, 0]);
});
