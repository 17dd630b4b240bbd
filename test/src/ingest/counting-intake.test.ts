import { expect, test } from 'vitest';
import { CountingIntake } from '../../../src/ingest/counting-intake.ts';

test('counts frames, looks into none, answers none, and is never busy', async () => {
  const intake = new CountingIntake();
  const session = intake.openSession();
  for (const frame of ['{}', 'no JSON at all', '1\n2', new ArrayBuffer(3)]) session.receive(frame, 0);
  session.end();
  intake.openSession().receive('ping', 0);
  intake.flush();
  await intake.drained();
  expect(intake.stats()).toMatchObject({ received: 5, buffered: 0, committed: 0, dead: 0, refused: {} });
  expect([intake.isBusy, intake.isWriting, intake.fill]).toEqual([false, false, 0]);
});
