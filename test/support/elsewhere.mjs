/**
 * Loaded before a Node program of a test (`node --import`): places that a page names are elsewhere for it. So a command can be
 * typed as it is shown, though several tests run at the same time and none may have port 8787.
 *
 * SLUICE_TEST_PLACES says, as JSON, where a place is: {"localhost:8787":"127.0.0.1:41234"}.
 * SLUICE_TEST_DEV_PORT is the port of `sluice dev`, in place of 8787. SLUICE_TEST_BENCH_FLAGS are flags, as JSON, that come after
 * those of `sluice bench`: a run is small then.
 */

import net from 'node:net';

const places = JSON.parse(process.env.SLUICE_TEST_PLACES ?? '{}');
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function connectElsewhere(...args) {
  // Node's own callers hand over a list whose first member are the options; others the options, or port and host.
  const options = Array.isArray(args[0]) ? args[0][0] : typeof args[0] === 'object' ? args[0] : undefined;
  const [port, host] = options === undefined ? args : [options.port, options.host];
  const place = places[`${host ?? 'localhost'}:${port}`];
  if (place === undefined) return connect.apply(this, args);
  const { hostname, port: other } = new URL(`http://${place}`);
  if (options === undefined) return connect.apply(this, [Number(other), hostname, ...args.slice(2)]);
  Object.assign(options, { host: hostname, port: Number(other) });
  return connect.apply(this, args);
};

const { SLUICE_TEST_DEV_PORT: devPort, SLUICE_TEST_BENCH_FLAGS: benchFlags = '[]' } = process.env;
const isSluice = /(^|\/)(sluice|start\.js)$/.test(process.argv[1] ?? '');
if (isSluice && process.argv[2] === 'dev' && devPort !== undefined) process.argv.push('--port', devPort);
if (isSluice && process.argv[2] === 'bench') process.argv.push(...JSON.parse(benchFlags));
