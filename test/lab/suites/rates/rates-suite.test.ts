import { describe, expect, test } from 'vitest';
import { type StepFigures, whyBroken } from '../../../../lab/suites/rates/breaking.ts';
import { insertStatement } from '../../../../lab/suites/rates/fire-and-forget.ts';
import { ladderRates } from '../../../../lab/suites/rates/ladder.ts';
import { benchPacket, packetMessage, serializable } from '../../../../lab/suites/rates/packet.ts';
import {
  FIRE_AND_FORGET,
  RATE_MODES,
  RATES_PARAMETERS,
  rateSinkOptions,
  ratesSuite,
  rateVariantOf,
} from '../../../../lab/suites/rates/rates-suite.ts';
import { resolveOptions } from '../../../../src/core/option-table.ts';
import { resolveSinkOptions } from '../../../../src/sinks/sink-options.ts';
import { WRITER_MODES } from '../../../../src/sinks/writer-mode.ts';

function parametersOf(given: Record<string, unknown> = {}) {
  return resolveOptions(RATES_PARAMETERS, given);
}

describe('the ladder', () => {
  test.each([
    [100, 80_000, [100, 500, 1_000, 5_000, 10_000, 20_000, 40_000, 80_000]],
    [100, 79_999, [100, 500, 1_000, 5_000, 10_000, 20_000, 40_000]],
    [100, 100, [100]],
    [50, 600, [50, 100, 500]],
    [700, 6_000, [700, 1_000, 5_000]],
    [8_000, 40_000, [8_000, 16_000, 32_000]],
    [1, 1, [1]],
  ])('from %d to %d', (from, to, rates) => expect(ladderRates(from, to)).toEqual(rates));

  test('every mode and every pool has one of its own, in the order of the rates', () => {
    const variants = ratesSuite.variants(
      parametersOf({ modes: 'fire-and-forget,copy', pools: '10,20', to: 500 }),
    );
    expect(variants.map(({ name, ladder }) => [name, ladder])).toEqual([
      ['fire-and-forget ×10 100/s', 'fire-and-forget ×10'],
      ['fire-and-forget ×10 500/s', 'fire-and-forget ×10'],
      ['fire-and-forget ×20 100/s', 'fire-and-forget ×20'],
      ['fire-and-forget ×20 500/s', 'fire-and-forget ×20'],
      ['copy 100/s', 'copy'],
      ['copy 500/s', 'copy'],
    ]);
    expect(variants.map(rateVariantOf).at(3)).toEqual({
      mode: FIRE_AND_FORGET,
      pool: 20,
      ratePerSecond: 500,
    });
    expect(variants.map(rateVariantOf).at(-1)).toEqual({ mode: 'copy', pool: null, ratePerSecond: 500 });
  });

  test('names are of one variant each, with all there is', () => {
    const names = ratesSuite
      .variants(parametersOf({ pools: '10,20,50,100', to: 1_000_000 }))
      .map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('counts the messages of a step with those before it', () => {
    const [variant] = ratesSuite.variants(parametersOf({ modes: 'copy' }));
    expect(ratesSuite.unitsPerRep(variant as never, parametersOf({ seconds: 3, lead: 500 }))).toBe(350);
  });

  test('that ends before it begins is refused', () => {
    expect(() => ratesSuite.variants(parametersOf({ from: 200, to: 100 }))).toThrow('to must not be less');
  });
});

describe('the bad example', () => {
  test('is marked wherever it is shown', () => {
    const parameters = parametersOf();
    for (const { ladder, description, labels } of ratesSuite.variants(parameters)) {
      const isBad = ladder?.startsWith(FIRE_AND_FORGET) === true;
      expect(description.startsWith('BAD EXAMPLE')).toBe(isBad);
      expect(labels?.mode?.includes('bad example')).toBe(isBad);
    }
    expect(RATES_PARAMETERS.modes.description).toContain('bad example');
    expect(ratesSuite.notes(parameters).join('\n')).toContain('BAD EXAMPLE');
    expect(ratesSuite.notes(parametersOf({ modes: 'copy' })).join('\n')).not.toContain('BAD EXAMPLE');
  });

  test('is no writer of a sink', () => {
    expect(WRITER_MODES).not.toContain(FIRE_AND_FORGET);
    expect(() => resolveSinkOptions({ writer: FIRE_AND_FORGET })).toThrow('one of naive');
    // Control: every other mode is one.
    for (const mode of RATE_MODES.filter((known) => known !== FIRE_AND_FORGET)) {
      expect(resolveSinkOptions(rateSinkOptions(mode, parametersOf())).writer).toBe(mode);
    }
  });

  test('writes into a table of the bench and no other', () => {
    expect(insertStatement('a"b')).toContain('insert into "sluice_bench_a""b" ');
  });
});

describe('a step', () => {
  const held: StepFigures = {
    ratePerSecond: 1_000,
    measuredMs: 3_000,
    pendingLimit: 50_000,
    giveUpMs: 5_500,
    due: 3_000,
    failed: 0,
    lost: 0,
    duplicated: 0,
    stopped: null,
    unsettled: 0,
    endedLateMs: 10,
    p99Ms: 500,
  };
  const target = { p99Ms: 500, errorsPerMillion: 1_000 };

  test('holds at its bounds', () => {
    expect(whyBroken(held, target)).toBeUndefined();
    expect(whyBroken({ ...held, failed: 3, endedLateMs: 160 }, target)).toBeUndefined();
  });

  test.each<[Partial<StepFigures>, string]>([
    [{ p99Ms: 500.6 }, 'p99 was 501 ms, 500 ms may be'],
    [{ p99Ms: null }, 'Nothing was committed'],
    [{ failed: 4 }, '0.13 % of the messages failed, 0.1 % may'],
    [{ endedLateMs: 161 }, 'The schedule was not kept: sending ended 0.2 s late'],
    [{ stopped: 'behind' }, 'A message was not committed 5.5 s after it was due'],
    [{ stopped: 'pending' }, '50,000 messages were pending, where the bench ends the step'],
    [{ unsettled: 2 }, '2 messages were not committed in time'],
    [{ lost: 1, p99Ms: 900 }, '1 messages were lost'],
    [{ duplicated: 2 }, '2 rows were there twice'],
  ])('is broken by %o', (figures, why) => expect(whyBroken({ ...held, ...figures }, target)).toBe(why));
});

describe('a packet', () => {
  test('becomes a text that jsonb takes, whatever is in it', () => {
    const message = packetMessage('run-1', 7, benchPacket(5, 1, 7));
    const { packet, ...rest } = JSON.parse(message) as { packet: ReturnType<typeof benchPacket> };
    expect(rest).toEqual({
      device: 'thermometer-1',
      n: 7,
      session_time_ms: 7,
      server_version: '1.21.2',
      direction: 'clientbound',
    });
    expect(packet.params.runtime_id).toMatch(/^922337203\d{10}$/);
    expect(packet.params).toMatchObject({ source: 'player-1', tick: '7' });
    expect(message).not.toMatch(/\\u0000/);
    expect(message.length).toBeGreaterThan(250);
  });

  test('is the same with the same seed, and another with another', () => {
    const text = (seed: number, client: number, n: number): string =>
      packetMessage('run', 0, benchPacket(seed, client, n));
    expect(text(1, 2, 3)).toBe(text(1, 2, 3));
    expect(new Set([text(1, 2, 3), text(2, 2, 3), text(1, 3, 3), text(1, 2, 4)]).size).toBe(4);
  });

  test('is walked through as BedrockRelay does', () => {
    expect(
      serializable({
        big: 9_223_372_036_854_775_807n,
        list: [1n, { text: 'a\u0000b', none: null, flag: false, number: 1.5 }],
      }),
    ).toEqual({
      big: '9223372036854775807',
      list: ['1', { text: 'ab', none: null, flag: false, number: 1.5 }],
    });
  });
});
