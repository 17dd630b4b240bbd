/** Deliveries to a real HTTP receiver: signatures, retries that keep the id, time limits, and the order. */

import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DeliveryQueue, MAX_WAITING } from '../../../../src/monitor/alerts/delivery-queue.ts';
import type { NotificationKind } from '../../../../src/monitor/alerts/notification.ts';
import { type AlertOptions, alertSettings } from '../../../../src/monitor/alerts/options.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';
import { eventually } from '../../../support/patience.ts';
import { Deployment, SECRET, type ShardNow, START_MS } from './support.ts';

const HOUR = 3_600_000;
const STOPPED: ShardNow = { state: 'stopped', waiting: 7 };
const WELL: ShardNow = {};

interface Request {
  path: string;
  headers: IncomingHttpHeaders;
  text: string;
  body: { type: string; data: { id: string; incident: string; rule: string } };
}

const requests: Request[] = [];
let answer: (response: ServerResponse, request: Request) => void;
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const text = Buffer.concat(parts).toString();
    const got = {
      path: request.url ?? '',
      headers: request.headers,
      text,
      body: JSON.parse(text) as Request['body'],
    };
    requests.push(got);
    answer(response, got);
  });
});
let origin = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(
  () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
);
beforeEach(() => {
  requests.length = 0;
  answer = (response) => void response.writeHead(204).end();
});

/** A deployment that tells the receiver, over the network. */
function deployment(webhook: object = {}, others: AlertOptions['webhooks'] = []): Deployment {
  const options: AlertOptions = {
    webhooks: [{ url: `${origin}/in`, secret: SECRET, ...webhook }, ...others],
  };
  const made = new Deployment({ options: { webhooks: [] } });
  made.restart({ fetch, options: alertSettings(options, {}, { isLocal: true }) });
  return made;
}

/** Answers by a list of statuses, and then with 204. */
function statuses(...list: (number | [number, Record<string, string>])[]): void {
  answer = (response) => {
    const next = list.shift() ?? 204;
    const [status, headers] = typeof next === 'number' ? [next, {}] : next;
    response.writeHead(status, headers).end('the text of an answer');
  };
}

const typesOf = (): string[] => requests.map(({ body }) => body.type);

describe('a message', () => {
  test('is signed over its id, its time and its text, so that a receiver can verify it', async () => {
    const made = deployment();
    made.report(STOPPED);
    await made.pass(5_000);
    const [{ headers, text, body }] = requests as [Request];
    expect(headers['webhook-id']).toBe(body.data.id);
    expect(Number(headers['webhook-timestamp'])).toBe(START_MS / 1_000 + 1);
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    const expected = createHmac('sha256', SECRET).update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
    expect(headers['content-type']).toBe('application/json');
    // The controls: another secret, and another text.
    expect(createHmac('sha256', `${SECRET}!`).update(signed).digest('base64')).not.toBe(expected);
    expect(createHmac('sha256', SECRET).update(`${signed} `).digest('base64')).not.toBe(expected);
  });

  test('has one signature for each secret while one is replaced, and a secret may be base64', async () => {
    const bytes = Buffer.from('bytes of a secret that is long enough');
    const made = deployment({ secret: [`whsec_${bytes.toString('base64')}`, SECRET] });
    made.report(STOPPED);
    await made.pass(5_000);
    const [{ headers, text }] = requests as [Request];
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    expect(headers['webhook-signature']).toBe(
      [bytes, SECRET]
        .map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
        .join(' '),
    );
  });
});

describe('a receiver that', () => {
  test('fails and comes back gets the same message with the same id, and a new signature', async () => {
    statuses(500, 503);
    const made = deployment();
    made.report(STOPPED);
    await made.pass(30_000);
    expect(requests).toHaveLength(3);
    expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(requests.map(({ text }) => text)).size).toBe(1);
    expect(new Set(requests.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(3);
    expect(made.alerts.receivers()).toEqual([
      {
        name: `json ${new URL(origin).host}`,
        format: 'json',
        host: new URL(origin).host,
        waiting: 0,
        delivered: 1,
        failedTries: 2,
        givenUp: 0,
        lastStatus: 204,
        lastFailure: null,
        lastAtMs: expect.any(Number),
      },
    ]);
  });

  test('asks for time (429, Retry-After) gets it, in seconds or as a date', async () => {
    statuses(
      [429, { 'retry-after': '90' }],
      [503, { 'retry-after': new Date(START_MS + 400_000).toUTCString() }],
    );
    const made = deployment();
    made.report(STOPPED);
    await made.pass(90_000);
    expect(requests).toHaveLength(1);
    await made.pass(2_000);
    expect(requests).toHaveLength(2);
    await made.pass(300_000);
    expect(requests).toHaveLength(2);
    await made.pass(10_000);
    expect(requests).toHaveLength(3);
  });

  test('never answers is given up after its time limit, and asked again', async () => {
    const kept: ServerResponse[] = [];
    answer = (response) => void kept.push(response);
    const made = deployment({ timeoutMs: 100 });
    made.report(STOPPED);
    await made.pass(1_500);
    expect(made.alerts.receivers()[0]).toMatchObject({
      failedTries: 1,
      lastStatus: null,
      lastFailure: expect.stringMatching(/^Gave up waiting for the receiver after 100 ms$/),
    });
    // With time enough, so that a busy machine does not decide it.
    const patient = { webhooks: [{ url: `${origin}/in`, secret: SECRET, timeoutMs: 30_000 }] };
    made.restart({ fetch, options: alertSettings(patient, {}, { isLocal: true }) });
    answer = (response) => void response.writeHead(200).end();
    await made.pass(60_000);
    expect(made.alerts.receivers()[0]).toMatchObject({ delivered: 1, lastFailure: null });
    for (const response of kept) response.destroy();
  });

  test('sends somewhere else is not followed', async () => {
    statuses([302, { location: `${origin}/elsewhere` }]);
    const made = deployment();
    made.report(STOPPED);
    await made.pass(1_500);
    expect(requests.map(({ path }) => path)).toEqual(['/in']);
    expect(made.alerts.receivers()[0]).toMatchObject({ failedTries: 1, lastFailure: 'it answered 302' });
  });

  test('cannot be reached: what is shown of it has neither path nor secret', async () => {
    const made = deployment({ url: 'http://127.0.0.1:1/T000/B000/secret-path' });
    made.report(STOPPED);
    await made.pass(1_500);
    const shown = JSON.stringify([made.alerts.receivers(), made.events]);
    expect(made.alerts.receivers()[0]).toMatchObject({ failedTries: 1, lastStatus: null });
    expect(shown).toContain('127.0.0.1:1');
    expect(shown).not.toContain('secret-path');
    expect(shown).not.toContain(SECRET);
  });

  test('is away for hours hears the beginning before the end, once each, also if the object is evicted meanwhile', async () => {
    let isAway = true;
    answer = (response) => void response.writeHead(isAway ? 502 : 200).end();
    const made = deployment();
    const settings = alertSettings(
      { webhooks: [{ url: `${origin}/in`, secret: SECRET }] },
      {},
      { isLocal: true },
    );
    made.report(STOPPED);
    await made.pass(60_000);
    made.report(WELL);
    await made.pass(HOUR);
    made.restart({ fetch, options: settings });
    await made.pass(HOUR);
    isAway = false;
    requests.length = 0;
    await made.pass(HOUR);
    expect(typesOf()).toEqual(['alert.firing', 'alert.resolved']);
    expect(new Set(requests.map(({ body }) => body.data.incident)).size).toBe(1);
  });

  test('is away for more than a day is given up, which is counted; of an end whose beginning was lost it does not hear', async () => {
    let isAway = true;
    answer = (response) => void response.writeHead(isAway ? 503 : 200).end();
    const made = deployment();
    made.report(STOPPED);
    await made.pass(25 * HOUR);
    expect(made.alerts.receivers()[0]).toMatchObject({ waiting: 0, delivered: 0, givenUp: 1 });
    expect(made.alerts.receivers()[0]?.failedTries).toBeGreaterThan(50);
    isAway = false;
    requests.length = 0;
    made.report(WELL);
    await made.pass(HOUR);
    expect(typesOf()).toEqual([]);
    // The control: the next one it hears of.
    made.report(STOPPED);
    await made.pass(60_000);
    made.report(WELL);
    await made.pass(60_000);
    expect(typesOf()).toEqual(['alert.firing', 'alert.resolved']);
  });

  test('says that the request is wrong is asked less often, and given up after some hours', async () => {
    answer = (response) => void response.writeHead(404).end();
    const made = deployment();
    made.report(STOPPED);
    await made.pass(60_000);
    expect(requests.length).toBeLessThanOrEqual(4);
    await made.pass(12 * HOUR);
    expect(made.alerts.receivers()[0]).toMatchObject({ waiting: 0, givenUp: 1, lastStatus: 404 });
    expect(requests).toHaveLength(30);
  });

  test('is slow or gone does not keep others from hearing', async () => {
    answer = (response, { path }) => void response.writeHead(path === '/in' ? 500 : 200).end();
    const made = deployment({}, [{ url: `${origin}/other`, secret: SECRET }]);
    made.report(STOPPED);
    await made.pass(1_500);
    expect(made.alerts.receivers().map(({ delivered, waiting }) => [delivered, waiting])).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  test('wants only pages, or only some sinks, gets only those', async () => {
    const made = deployment({ minSeverity: 'page' }, [
      { url: `${origin}/readings`, secret: SECRET, sinks: ['readings'] },
    ]);
    made.report(STOPPED, 'trades');
    made.report({ dead: 1 }, 'trades', 1);
    made.report({ dead: 1 }, 'readings');
    await made.pass(5_000);
    expect(requests.map(({ path, body }) => `${path} ${body.data.rule}`).toSorted()).toEqual([
      '/in SluiceSinkStopped',
      '/readings SluiceDeadLetters',
    ]);
  });

  test('is not configured any more is forgotten, with what waits for it', async () => {
    answer = (response) => void response.writeHead(500).end();
    const made = deployment();
    made.report(STOPPED);
    await made.pass(2_000);
    made.restart({
      fetch,
      options: alertSettings(
        { webhooks: [{ url: `${origin}/new`, secret: SECRET, name: 'new' }] },
        {},
        { isLocal: true },
      ),
    });
    expect(made.alerts.receivers()).toMatchObject([{ name: 'new', waiting: 0, failedTries: 0 }]);
  });
});

test('what waits is bounded: the oldest is given up, which is counted, and its end is not told either', () => {
  const queue = new DeliveryQueue(new NodeSqlite());
  const add = (number: number, kind: NotificationKind): void =>
    queue.add('hook', {
      id: `${kind} ${number}`,
      kind,
      incident: `incident ${number}`,
      atMs: START_MS + number,
      rule: 'SluiceSinkStopped',
      severity: 'page',
      sink: 'trades',
      database: null,
      title: 'it has stopped',
      alerts: [],
      moreAlerts: 0,
      by: null,
      runbook: '',
      dashboard: null,
    });
  for (let number = 0; number < MAX_WAITING + 30; number += 1) add(number, 'firing');
  expect([queue.waiting('hook'), queue.figures('hook').givenUp]).toEqual([MAX_WAITING, 30]);
  expect(queue.next('hook', START_MS + HOUR)?.notification.id).toBe('firing 30');
  expect(queue.dueMs('hook')).toBe(START_MS + 30);
  // Of one that was given up the end is not told; of one that waits it is, after it.
  add(7, 'resolved');
  expect(queue.figures('hook').givenUp).toBe(30);
  add(200, 'resolved');
  expect([queue.waiting('hook'), queue.figures('hook').givenUp]).toEqual([MAX_WAITING, 31]);
  const told: string[] = [];
  for (;;) {
    const next = queue.next('hook', START_MS + HOUR);
    if (next === undefined) break;
    told.push(next.notification.id);
    queue.delivered(next, 204, START_MS + HOUR);
  }
  expect(told).toHaveLength(MAX_WAITING);
  expect(told.indexOf('resolved 200')).toBeGreaterThan(told.indexOf('firing 200'));
  expect(queue.dueMs('hook')).toBe(Number.POSITIVE_INFINITY);
});

test('two who deliver at the same time do not deliver twice', async () => {
  const made = deployment();
  made.report(STOPPED);
  made.nowMs += 1_000;
  made.evaluate();
  await Promise.all([made.alerts.deliver(), made.alerts.deliver(), made.alerts.deliver()]);
  expect(requests).toHaveLength(1);
});

test('a receiver that takes its time is not asked about again and again meanwhile', async () => {
  let respond = (): void => {};
  answer = (response) => {
    respond = () => void response.writeHead(204).end();
  };
  const made = deployment();
  made.report(STOPPED);
  made.nowMs += 1_000;
  made.evaluate();
  expect(made.alerts.nextDueMs()).toBe(made.nowMs);
  const delivering = made.alerts.deliver();
  expect(made.alerts.nextDueMs()).toBe(made.nowMs + 60_000);
  await eventually(() => expect(requests).toHaveLength(1));
  respond();
  await delivering;
  expect(made.alerts.nextDueMs()).toBeUndefined();
});

describe('a test', () => {
  test('goes to every receiver at once, and says what each answered', async () => {
    answer = (response, { path }) => void response.writeHead(path === '/in' ? 403 : 200).end();
    const made = deployment({ name: 'first' }, [
      { url: `${origin}/slack`, format: 'slack', name: 'second' },
      { url: 'http://127.0.0.1:1/', secret: SECRET, name: 'third' },
    ]);
    const results = await made.alerts.test();
    expect(results).toMatchObject([
      { name: 'first', isDelivered: false, status: 403, failure: 'it answered 403' },
      { name: 'second', isDelivered: true, status: 200, failure: null },
      { name: 'third', isDelivered: false, status: null, failure: expect.any(String) },
    ]);
    expect(requests.find(({ path }) => path === '/in')?.body).toMatchObject({
      type: 'alert.test',
      data: { rule: 'SluiceTest', title: 'This is a test message of Sluice: alerts arrive here' },
    });
    expect(made.alerts.current()).toEqual([]);
    expect(made.alerts.receivers().map(({ waiting }) => waiting)).toEqual([0, 0, 0]);
  });

  test('that is asked for while one runs is the same', async () => {
    const made = deployment();
    await Promise.all([made.alerts.test(), made.alerts.test()]);
    expect(requests).toHaveLength(1);
    await made.alerts.test();
    expect(requests).toHaveLength(2);
  });
});
