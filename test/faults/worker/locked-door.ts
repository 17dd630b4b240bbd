/** The production door, `/ws/:sink`, for sinks of the lab that are locked (lab-sinks.ts). */

import { Hono } from 'hono';
import type { LabEnv } from '../../../lab/workers/env.ts';
import type { Authorize } from '../../../src/access/authorize.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { Authorization } from '../../../workers/authorization.ts';
import { socketRoutes } from '../../../workers/routes/socket.ts';
import type { Sinks } from '../../../workers/sinks.ts';
import { findLabSink, lockOf } from './lab-sinks.ts';

const ask: Authorize = async (request, question) => {
  for (const way of lockOf(question.sink) ?? []) {
    const grant = await way(request, question);
    if (grant !== undefined) return grant;
  }
  return undefined;
};

/** Who is asked about tokens, at the door and within sessions. */
export const labAuthorization = new Authorization(ask);

const labSinks = {
  find: (_: unknown, name: string) => findLabSink(name),
  unknown: (_: unknown, name: string) => new SluiceError('unknown_sink', `There is no sink ${name}`),
} as unknown as Sinks;

const door = new Hono<{ Bindings: LabEnv }>().route(
  '/faults/locked',
  socketRoutes(labSinks, labAuthorization),
);

/** Lets in whom the lock of the sink knows, whatever the variable says that opens the rest of the lab. */
export function knockAtLockedDoor(request: Request, env: LabEnv): Response | Promise<Response> {
  return door.fetch(request, { ...env, AUTHORIZE: '' });
}
