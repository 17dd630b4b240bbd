import { describe, expect, it } from 'vitest';
import { Origins } from '../../../src/access/origins.ts';

const OWN = new URL('https://sluice.example.net/ws/readings');
const allows = (list: readonly string[], origin: string, own: URL = OWN): boolean =>
  new Origins(list).allow(origin, own);

describe('without a list', () => {
  it('a page of the Worker’s own origin may ask, and no other', () => {
    expect(allows([], 'https://sluice.example.net')).toBe(true);
    for (const origin of [
      'http://sluice.example.net',
      'https://sluice.example.net:8443',
      'https://sluice.example.net.',
      'https://SLUICE.example.net',
      'https://sluice.example.net/',
      'https://app.sluice.example.net',
      'https://example.net',
      'https://evil.example',
      'http://localhost:5173',
      'null',
      '',
      ' ',
    ])
      expect(allows([], origin), origin).toBe(false);
  });

  it('a page of this machine may ask a Worker of this machine, at whatever port', () => {
    for (const own of ['http://localhost:8787/', 'http://127.0.0.1:8787/', 'http://[::1]:8787/']) {
      for (const origin of [
        'http://localhost:5173',
        'http://127.0.0.1:80',
        'http://127.0.0.1',
        'http://[::1]:3000',
        'https://localhost',
      ])
        if (origin !== 'http://127.0.0.1:80')
          expect(allows([], origin, new URL(own)), `${origin} → ${own}`).toBe(true);
      for (const origin of [
        'http://localhost.evil.example',
        'http://127.0.0.1.evil.example',
        'http://evil.example',
        'null',
      ])
        expect(allows([], origin, new URL(own)), `${origin} → ${own}`).toBe(false);
    }
    // The control: from there no other Worker.
    expect(allows([], 'http://localhost:5173')).toBe(false);
  });
});

describe('a list', () => {
  it.each([
    ['https://app.example.com', ['https://app.example.com']],
    ['https://app.example.com:8443', ['https://app.example.com:8443']],
    [
      'https://*.example.com',
      ['https://a.example.com', 'https://a.b.example.com', 'https://a-1.example.com'],
    ],
    ['https://*.example.com:*', ['https://a.example.com', 'https://a.example.com:8443']],
    ['http://localhost:*', ['http://localhost', 'http://localhost:5173']],
    ['http://*.localhost:3000', ['http://app.localhost:3000']],
    ['http://[2001:db8::1]:3000', ['http://[2001:db8::1]:3000']],
    ['https://xn--mnchen-3ya.example', ['https://xn--mnchen-3ya.example']],
    ['null', ['null']],
    ['*', ['https://anything.example', 'http://anything.example:81']],
  ])('with %s allows %j', (entry, origins) => {
    for (const origin of origins) {
      expect(allows([entry], origin), origin).toBe(true);
      expect(allows(['https://other.example', entry], origin), origin).toBe(true);
      // The control: without it none of them may.
      expect(allows(['https://other.example'], origin), origin).toBe(false);
    }
    expect(allows([entry], OWN.origin)).toBe(true);
  });

  it.each([
    ['https://app.example.com', 'http://app.example.com'],
    ['https://app.example.com', 'https://app.example.com:444'],
    ['https://app.example.com', 'https://app.example.com:443'],
    ['https://app.example.com', 'https://app.example.com.'],
    ['https://app.example.com', 'https://APP.example.com'],
    ['https://app.example.com', 'HTTPS://app.example.com'],
    ['https://app.example.com', 'https://app.example.com/'],
    ['https://app.example.com', 'https://app.example.com.evil.example'],
    ['https://app.example.com', 'https://evil-app.example.com'],
    ['https://app.example.com', 'https://app.example.com@evil.example'],
    ['https://app.example.com', 'https://evil.example/https://app.example.com'],
    ['https://app.example.com', 'https://app.example.com, https://evil.example'],
    ['https://app.example.com', 'https://app.example.com https://evil.example'],
    ['https://app.example.com', 'https://app.example.com\u0000'],
    ['https://app.example.com', 'wss://app.example.com'],
    ['https://*.example.com', 'https://example.com'],
    ['https://*.example.com', 'https://.example.com'],
    ['https://*.example.com', 'https://evilexample.com'],
    ['https://*.example.com', 'https://a.example.com.'],
    ['https://*.example.com', 'https://a.example.com.evil.example'],
    ['https://*.example.com', 'https://a.example.com:8443'],
    ['https://*.example.com', 'http://a.example.com'],
    ['https://*.example.com', 'https://evil.example?.example.com'],
    ['https://*.example.com', 'https://evil.example#.example.com'],
    ['https://*.example.com', 'https://evil.example/.example.com'],
    ['https://*.example.com', 'https://evil.example\\.example.com'],
    ['https://*.example.com', 'https://*.example.com'],
    ['http://localhost:*', 'http://localhost:5173.evil.example'],
    ['http://localhost:*', 'https://localhost:5173'],
    ['*', 'null'],
    ['*', 'file://'],
    ['*', ''],
    ['*', 'everything'],
    ['*', 'chrome-extension://abc'],
  ])('with %s does not allow %j', (entry, origin) => {
    expect(allows([entry], origin)).toBe(false);
  });

  it.each([
    ['https://app.example.com/', /a browser writes "https:\/\/app\.example\.com"/],
    ['https://App.example.com', /a browser writes "https:\/\/app\.example\.com"/],
    ['https://app.example.com:443', /a browser writes "https:\/\/app\.example\.com"/],
    ['https://münchen.example', /a browser writes "https:\/\/xn--mnchen-3ya\.example"/],
    ['https://app.example.com/path', /a browser writes/],
    ['https://user@app.example.com', /a browser writes/],
    ['app.example.com', /is none/],
    ['', /is none/],
    ['wss://app.example.com', /is none/],
    ['https://*', /is none/],
    ['https://*.com', /every host below "com"/],
    ['https://a.*.example.com', /is none/],
    ['https://*example.com', /is none/],
    ['https://app.example.com:80:*', /is none/],
    ['*.example.com', /is none/],
    ['*://app.example.com', /is none/],
  ])('refuses %j', (entry, message) => {
    expect(() => new Origins([entry])).toThrow(
      expect.objectContaining({ code: 'invalid_options', message: expect.stringMatching(message) }),
    );
  });

  it('has at most a hundred', () => {
    const list = Array.from({ length: 100 }, (_, index) => `https://app-${index}.example.com`);
    expect(allows(list, 'https://app-99.example.com')).toBe(true);
    expect(() => new Origins([...list, 'https://one.example.com'])).toThrow('there are 101');
  });
});
