/**
 * Stands for the part of Cloudflare's API that `wrangler deploy` and `wrangler secret put` use, for an account that has no
 * Worker yet: a real one needs an account. wrangler itself is the real one, and what it uploads is kept here.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const ACCOUNT = '0123456789abcdef0123456789abcdef';

/** What wrangler says of a Worker beside its modules. */
export interface UploadedMetadata {
  bindings: { name: string; type: string; class_name?: string; text?: string }[];
  compatibility_flags: string[];
  migrations?: { new_tag: string; steps: unknown[] };
  exports?: Record<string, unknown>;
}

export interface CloudflareApi {
  /** The variables with which wrangler asks here. */
  readonly env: Record<string, string>;
  /** The last upload of each Worker, by its name. */
  readonly workers: Map<string, UploadedMetadata>;
  /** `worker/secret` and its text. */
  readonly secrets: Map<string, string>;
  close(): Promise<void>;
}

export async function startCloudflareApi(): Promise<CloudflareApi> {
  const workers: CloudflareApi['workers'] = new Map();
  const secrets: CloudflareApi['secrets'] = new Map();
  const server = createServer(async (incoming, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const say = (result: unknown, code?: number): void => {
      const errors = code === undefined ? [] : [{ code, message: 'There is none' }];
      answer.writeHead(code === undefined ? 200 : 404, { 'content-type': 'application/json' });
      answer.end(JSON.stringify({ success: code === undefined, errors, messages: [], result }));
    };
    const path = new URL(incoming.url ?? '', 'http://api').pathname.split('/workers/')[1] ?? '';
    const [kind, name = '', part = ''] = path.split('/');
    if (incoming.method === 'PUT' && part === 'secrets') {
      const secret = JSON.parse(body.toString()) as { name: string; text: string };
      secrets.set(`${name}/${secret.name}`, secret.text);
      return say({ name: secret.name, type: 'secret_text' });
    }
    if (part === 'secrets') return say([]);
    if (part === 'deployments') return say({ deployments: [] });
    if (incoming.method === 'PUT' && kind === 'scripts' && part === '') {
      const form = await new Response(body, {
        headers: { 'content-type': incoming.headers['content-type'] ?? '' },
      }).formData();
      workers.set(name, JSON.parse(String(form.get('metadata'))) as UploadedMetadata);
      return say({ id: name, etag: 'etag', deployment_id: 'deployment', startup_time_ms: 1 });
    }
    // Cloudflare's code for a Worker that is not there.
    if (kind === 'services' && !workers.has(name)) return say(null, 10090);
    if (kind === 'workers') return say({ subdomain: { enabled: true, previews_enabled: false } });
    if (kind === 'subdomain') return say({ subdomain: 'example' });
    if (part === 'subdomain') return say({ enabled: true, previews_enabled: false });
    say({});
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    env: {
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`,
      CLOUDFLARE_API_TOKEN: 'token',
      CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
    },
    workers,
    secrets,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
