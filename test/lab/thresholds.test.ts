import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareResults } from '../../lab/compare.ts';
import type { BenchResult, Comparison, RepRecord, VariantResult, Verdict } from '../../lab/result.ts';
import { MAX_THRESHOLDS, parseThreshold, parseThresholds } from '../../lab/threshold-text.ts';
import { figuresToCompare, judgeThresholds } from '../../lab/thresholds.ts';
import { SluiceError } from '../../src/core/errors.ts';

describe('an expression', () => {
  test.each([
    [
      'copy.perSecond>100000',
      { kind: 'absolute', variant: 'copy', figure: 'perSecond', operator: '>', bound: 100_000 },
    ],
    ['*.ackP99Ms<200', { kind: 'absolute', variant: '*', figure: 'ackP99Ms', operator: '<', bound: 200 }],
    [
      'copy/ack.p99<20ms',
      { kind: 'absolute', variant: 'copy', figure: 'ack.p99', operator: '<', bound: 20_000 },
    ],
    ['perSecond<-5%', { kind: 'relative', variant: '*', figure: 'perSecond', operator: '<', bound: -0.05 }],
    ['copy/ack.p99>10%', { kind: 'relative', variant: 'copy', figure: 'ack.p99', operator: '>', bound: 0.1 }],
    ['ack.p99.9 <= 1.5 s', { variant: '*', figure: 'ack.p99.9', operator: '<=', bound: 1_500_000 }],
    ['copy.ack.mean<300µs', { variant: 'copy', figure: 'ack.mean', bound: 300 }],
    ['ackP99Ms<0.2s', { figure: 'ackP99Ms', bound: 200 }],
    ['p99Us<1ms', { figure: 'p99Us', bound: 1_000 }],
    ['preparedSeconds<1500MS', { figure: 'preparedSeconds', bound: 1.5 }],
    ['flushes>=1e3', { figure: 'flushes', operator: '>=', bound: 1_000 }],
    ['  perSecond  >  5  ', { expression: 'perSecond  >  5', bound: 5 }],
    ['floor: copy.perSecond>1', { variant: 'floor: copy', figure: 'perSecond' }],
    ['rate 100/s.perSecond>=99', { variant: 'rate 100/s', figure: 'perSecond' }],
    ['copy 1.5×/ack.p50<1ms', { variant: 'copy 1.5×', figure: 'ack.p50' }],
    ['"rows > 10/s.p99".perSecond>1', { variant: 'rows > 10/s.p99', figure: 'perSecond' }],
    ['"a<b"/ack.p99 < 1ms', { variant: 'a<b', figure: 'ack.p99' }],
    ['copy *.perSecond<=0%', { kind: 'relative', variant: 'copy *', bound: 0 }],
  ])('%s is read', (text, expected) => {
    expect(parseThreshold(text)).toMatchObject(expected);
  });

  test.each([
    ['', 'it compares nothing'],
    ['copy.perSecond', 'it compares nothing'],
    ['"a<b".perSecond', 'it compares nothing'],
    ['copy.perSecond>', '> needs a number'],
    ['copy.perSecond>fast', '> needs a number'],
    ['copy.perSecond>=>5', '>= needs a number'],
    ['copy.perSecond=>5', 'a figure is needed'],
    ['copy.perSecond>5 apples', '> needs a number'],
    ['copy.perSecond>1e999', '> needs a number'],
    ['copy.perSecond>1,000', '> needs a number'],
    ['>5', 'a figure is needed'],
    ['copy.>5', 'a figure is needed'],
    ['.perSecond>5', 'the name of the variant is empty'],
    ['"".perSecond>5', 'the name of the variant is empty'],
    ['"copy"perSecond>5', 'a variant in quotes is followed by'],
    ['"copy>5', 'it compares nothing'],
    ['"copy" x.perSecond>5', 'a variant in quotes is followed by'],
    ['"copy".x y.perSecond>5', 'a figure is needed'],
    ['*.p99<20ms', 'p99 of what?'],
    ['p99<20ms', 'p99 of what?'],
    ['ack.p99<20', 'a latency needs its unit'],
    ['perSecond>5ms', 'perSecond is no time'],
    ['perSecond>-5', 'no figure is below 0'],
    ['perSecond>5%', 'a change for the worse, as in "perSecond<-5%"'],
    ['perSecond<5%', 'a change for the worse, as in "perSecond<-5%"'],
    ['ack.p99<-5%', 'a change for the worse, as in "ack.p99>5%"'],
    ['ackP99Ms>-5%', 'a change for the worse, as in "ackP99Ms>5%"'],
    [`${'a'.repeat(400)}>5`, 'at most 300 characters'],
  ])('%s is refused in one line', (text, why) => {
    const error = caught(() => parseThreshold(text));
    expect(error.code).toBe('invalid_options');
    expect(error.message).toMatch(/^Cannot use ".*" as a threshold: /);
    expect(error.message).toContain(why);
    expect(error.message).not.toContain('\n');
  });

  test('of many, every wrong one has its line', () => {
    const error = caught(() => parseThresholds(['perSecond>1', 'x', 'perSecond>5%', 'ackP99Ms<2']));
    expect(error.code).toBe('invalid_options');
    expect(error.message.split('\n')).toEqual([
      expect.stringContaining('"x"'),
      expect.stringContaining('"perSecond>5%"'),
    ]);
    expect(parseThresholds(['perSecond>1', 'ackP99Ms<2'])).toHaveLength(2);
    expect(parseThresholds([])).toEqual([]);
    expect(caught(() => parseThresholds(new Array(MAX_THRESHOLDS + 1).fill('perSecond>1'))).code).toBe(
      'invalid_options',
    );
  });
});

function caught(act: () => unknown): SluiceError {
  try {
    act();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error('It was not refused');
}

const STATISTICS = ['min', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max'] as const;
const name = fc
  .stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,12}$/)
  .filter((text) => !STATISTICS.includes(text as 'p50'));
const blank = fc.constantFrom('', ' ', '  ');

describe('any expression', () => {
  test('that the grammar makes is read as it was meant', () => {
    const variant = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
      .map((text) => text.trim())
      .filter((text) => text !== '' && !text.includes('"'));
    const time = fc.record({
      figure: fc.tuple(name, fc.constantFrom(...STATISTICS)).map(([histogram, of]) => `${histogram}.${of}`),
      unit: fc.constantFrom(['us', 1] as const, ['ms', 1_000] as const, ['s', 1_000_000] as const),
    });
    const plain = fc.record({
      figure: name.filter((text) => !/(Us|Ms|econds)$/.test(text)),
      unit: fc.constant(['', 1] as const),
    });
    fc.assert(
      fc.property(
        variant,
        fc.constantFrom('.', '/'),
        fc.oneof(time, plain),
        fc.constantFrom('<', '<=', '>', '>='),
        fc.integer({ min: 0, max: 1_000_000 }),
        blank,
        (named, separator, { figure, unit: [unit, factor] }, operator, number, space) => {
          const text = `"${named}"${separator}${figure}${space}${operator}${space}${number}${space}${unit}`;
          expect(parseThreshold(text)).toEqual({
            expression: text.trim(),
            kind: 'absolute',
            variant: named,
            figure,
            operator,
            bound: number * factor,
          });
        },
      ),
    );
  });

  test('without quotes means the same where the name needs none', () => {
    const plainName = fc.stringMatching(/^[A-Za-z0-9*:× -]{1,20}$/).map((text) => text.trim());
    fc.assert(
      fc.property(plainName, name, fc.nat(), (variant, metric, number) => {
        fc.pre(variant !== '');
        const { expression: _, ...bare } = parseThreshold(`${variant}/${metric}<${number}`);
        const { expression: __, ...quoted } = parseThreshold(`"${variant}"/${metric}<${number}`);
        expect(bare).toEqual(quoted);
      }),
    );
  });

  test('is read, or refused with one error of one line', () => {
    const piece = fc.constantFrom(
      'copy',
      '*',
      '.',
      '/',
      '"',
      'ack',
      'p99',
      'perSecond',
      '<',
      '>',
      '=',
      '-',
      '5',
      '%',
      'ms',
      ' ',
      'é',
      '\n',
    );
    const soup = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(soup, (text) => {
        try {
          const { variant, bound } = parseThreshold(text);
          expect(variant).not.toBe('');
          expect(Number.isFinite(bound)).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_options' });
          expect((error as Error).message).not.toContain('\n');
        }
      }),
      { numRuns: 200 },
    );
  });
});

function variant(
  named: string,
  figures: { perSecond: number; metrics?: Record<string, number | null>; p99Us?: number }[],
  role: VariantResult['role'] = 'measured',
): VariantResult {
  const reps = figures.map(({ perSecond, metrics = {}, p99Us }, index): RepRecord => {
    const rep = { units: 1, elapsedMs: 1, metrics, audit: null, perSecond, order: index + 1, rep: index + 1 };
    if (p99Us === undefined) return rep;
    const zeros = { count: 1, minUs: 0, meanUs: 0, p50Us: 0, p90Us: 0, p999Us: 0, maxUs: 0, hdr: '' };
    return { ...rep, histograms: { ack: { ...zeros, p99Us } } };
  });
  const none = { median: 0, min: 0, max: 0 };
  return {
    name: named,
    role,
    description: '',
    reps,
    summary: { perSecond: none, elapsedMs: none, metrics: {}, audit: null },
  };
}

function run(...variants: VariantResult[]): BenchResult {
  const facts = { tool: {}, machine: {}, database: {}, config: {}, notes: [] };
  const head = { schemaVersion: 1, suite: 's', title: '', unit: '', startedAt: '', durationMs: 0 } as const;
  return { ...head, ...facts, state: 'complete', variants };
}

test('an empty histogram has no percentiles: 0 would keep every bound', () => {
  const nothing = {
    count: 0,
    minUs: 0,
    meanUs: 0,
    p50Us: 0,
    p90Us: 0,
    p99Us: 0,
    p999Us: 0,
    maxUs: 0,
    hdr: '',
  };
  const idle = variant('idle', [{ perSecond: 1 }]);
  (idle.reps[0] as RepRecord).histograms = { ack: nothing };
  const [judged] = judgeThresholds(parseThresholds(['idle/ack.p99<20ms']), { result: run(idle) });
  expect(judged).toMatchObject({
    isMet: false,
    findings: [{ text: expect.stringContaining('no figure ack.p99') }],
  });
});

const RESULT = run(
  variant('copy', [
    { perSecond: 100, metrics: { ackP99Ms: 10 }, p99Us: 18_000 },
    { perSecond: 300, metrics: { ackP99Ms: 30 }, p99Us: 25_000 },
    { perSecond: 120, metrics: { ackP99Ms: 20 }, p99Us: 19_000 },
  ]),
  variant('copy raw', [{ perSecond: 90, metrics: { ackP99Ms: null } }]),
  variant('floor: copy', [{ perSecond: 1 }], 'floor'),
);

function judge(expression: string, result = RESULT) {
  const [judged] = judgeThresholds([parseThreshold(expression)], { result });
  return { isMet: judged?.isMet, texts: judged?.findings.map(({ text }) => text) ?? [] };
}

describe('an absolute threshold', () => {
  test('is judged by the median over the repetitions', () => {
    expect(judge('copy.perSecond>119')).toEqual({
      isMet: true,
      texts: ['copy: perSecond is 120, as it has to be > 119'],
    });
    expect(judge('copy.perSecond>120')).toEqual({
      isMet: false,
      texts: ['copy: perSecond is 120, but has to be > 120'],
    });
    expect(judge('copy.perSecond>=120').isMet).toBe(true);
    expect(judge('copy/ack.p99<20ms').isMet).toBe(true);
    expect(judge('copy/ack.p99<19ms').texts).toEqual(['copy: ack.p99 is 19000 µs, but has to be < 19000 µs']);
    expect(judge('copy/ack.p99<=19ms').isMet).toBe(true);
  });

  test('of * looks at all measured variants that have the figure, and at no floor', () => {
    expect(judge('perSecond>80')).toMatchObject({ isMet: true, texts: { length: 2 } });
    expect(judge('*.perSecond>100')).toMatchObject({ isMet: false, texts: { length: 2 } });
    expect(judge('*.ackP99Ms<=20')).toMatchObject({ isMet: true, texts: { length: 1 } });
    expect(judge('copy *.perSecond>100')).toMatchObject({ isMet: false, texts: { length: 1 } });
    expect(judge('floor: copy.perSecond<2')).toMatchObject({ isMet: true, texts: { length: 1 } });
  });

  test.each([
    ['*', ['copy', 'copy raw', 'unnest copy']],
    ['copy', ['copy']],
    ['copy*', ['copy', 'copy raw']],
    ['*copy', ['copy', 'unnest copy']],
    ['*o*y*', ['copy', 'copy raw', 'unnest copy']],
    ['c*p*w', ['copy raw']],
    ['copy*copy', []],
    ['cop', []],
  ])('of %s means %j', (pattern, names) => {
    const result = run(
      ...['copy', 'copy raw', 'unnest copy'].map((named) => variant(named, [{ perSecond: 1 }])),
    );
    const [judged] = judgeThresholds([parseThreshold(`${pattern}/perSecond>0`)], { result });
    const found = judged?.findings.map((finding) => finding.variant).filter((named) => named !== '');
    expect(found).toEqual(names);
  });

  test('that meets nothing is not met, and tells what there is', () => {
    expect(judge('cpoy.perSecond>0')).toEqual({
      isMet: false,
      texts: ['No variant is called cpoy; there are copy, copy raw, floor: copy'],
    });
    expect(judge('copy.perSecnod>0').isMet).toBe(false);
    expect(judge('copy.perSecnod>0').texts[0]).toContain('perSecond, elapsedMs, ack.min');
    expect(judge('copy raw.ackP99Ms<500').isMet).toBe(false);
  });

  test('of * is not met by a variant that broke and has no figure for it', () => {
    const broken = variant('copy 500/s', [{ perSecond: 1, metrics: { ackP99Ms: null } }]);
    (broken.reps[0] as RepRecord).broken = 'Nothing was committed';
    const result = run(variant('copy 100/s', [{ perSecond: 1, metrics: { ackP99Ms: 5 } }]), broken);
    expect(judge('ackP99Ms<20', result)).toEqual({
      isMet: false,
      texts: [
        'copy 100/s: ackP99Ms is 5, as it has to be < 20',
        'copy 500/s: has no ackP99Ms: Nothing was committed',
      ],
    });
  });

  test('is not met by an invalid run', () => {
    expect(judge('copy.perSecond>0').isMet).toBe(true);
    expect(judge('copy.perSecond>0', { ...RESULT, state: 'invalid' })).toMatchObject({ isMet: false });
  });
});

describe('a relative threshold', () => {
  function comparison(head: string, metric: string, change: number, verdict: Verdict): Comparison {
    return {
      base: head,
      head,
      metric,
      change,
      changeLow: null,
      changeHigh: null,
      p: 0,
      correctedP: 0,
      verdict,
    };
  }
  function judgeChange(expression: string, ...comparisons: Comparison[]) {
    return judgeThresholds([parseThreshold(expression)], { result: RESULT, comparisons })[0];
  }

  test.each([
    ['perSecond<-5%', -0.06, 'slower', false],
    ['perSecond<-5%', -0.05, 'slower', true],
    ['perSecond<=-5%', -0.05, 'slower', false],
    ['perSecond<-5%', -0.04, 'slower', true],
    ['perSecond<-5%', -0.5, 'same', true],
    ['perSecond<-5%', -0.5, 'too few runs', true],
    ['perSecond<-5%', 0.5, 'faster', true],
    ['perSecond<0%', -0.001, 'slower', false],
  ] as const)('%s of a change of %d that is %s: met %s', (expression, change, verdict, isMet) => {
    expect(judgeChange(expression, comparison('copy', 'perSecond', change, verdict))?.isMet).toBe(isMet);
  });

  test('of a latency forbids a rise', () => {
    const risen = comparison('copy', 'ack.p99', 0.2, 'slower');
    expect(judgeChange('ack.p99>10%', risen)).toEqual({
      expression: 'ack.p99>10%',
      isMet: false,
      findings: [
        {
          variant: 'copy',
          figure: 0.2,
          verdict: 'slower',
          isMet: false,
          text: 'copy: ack.p99 changed by +20 % (slower), which must not be > +10 %',
        },
      ],
    });
    expect(judgeChange('ack.p99>30%', risen)?.isMet).toBe(true);
  });

  test('looks at its variant and figure only', () => {
    const comparisons = [
      comparison('copy', 'perSecond', -0.5, 'slower'),
      comparison('bulk', 'perSecond', 0, 'same'),
      comparison('bulk', 'ackP99Ms', 0.5, 'slower'),
    ];
    expect(judgeChange('bulk.perSecond<-5%', ...comparisons)).toMatchObject({
      isMet: true,
      findings: { length: 1 },
    });
    expect(judgeChange('perSecond<-5%', ...comparisons)).toMatchObject({
      isMet: false,
      findings: { length: 2 },
    });
  });

  test('that meets no comparison is not met', () => {
    expect(judgeChange('copy.perSecond<-5%', comparison('bulk', 'perSecond', 0, 'same'))).toMatchObject({
      isMet: false,
      findings: [{ text: 'perSecond of copy was not compared' }],
    });
  });

  describe('is not met', () => {
    /** A measured variant of two repetitions. */
    function measured(named: string, more: Partial<VariantResult> & { broken?: string } = {}): VariantResult {
      const { broken, ...rest } = more;
      const made = { ...variant(named, [{ perSecond: 100 }, { perSecond: 100 }]), ...rest };
      if (broken !== undefined) (made.reps[1] as RepRecord).broken = broken;
      return made;
    }
    function judgeBoth(expression: string, base: VariantResult[], head: VariantResult[]) {
      const both = { base: run(...base), result: run(...head) };
      const { comparisons } = compareResults(both.base, both.result, { metrics: ['perSecond'] });
      const [judged] = judgeThresholds([parseThreshold(expression)], { ...both, comparisons });
      return {
        isMet: judged?.isMet,
        texts: judged?.findings.flatMap(({ isMet, text }) => (isMet ? [] : [text])),
      };
    }

    test('the control: two runs alike', () => {
      const both = [measured('copy'), measured('naive')];
      expect(judgeBoth('perSecond<-5%', both, both)).toEqual({ isMet: true, texts: [] });
    });

    test('by a step that held before', () => {
      const base = [measured('copy 100/s', { ladder: 'copy' }), measured('copy 500/s', { ladder: 'copy' })];
      const head = [
        measured('copy 100/s', { ladder: 'copy' }),
        measured('copy 500/s', { ladder: 'copy', broken: 'p99 was 900 ms' }),
      ];
      expect(judgeBoth('perSecond<-5%', base, head)).toEqual({
        isMet: false,
        texts: ['copy 500/s: did not hold, as it did in the base run: p99 was 900 ms'],
      });
      expect(judgeBoth('perSecond<-5%', head, base).isMet, 'the other way round').toBe(true);
      expect(judgeBoth('perSecond<-5%', head, head).isMet, 'in both').toBe(true);
    });

    test('by a step that held before and was not reached', () => {
      const step = (rate: number, broken?: string): VariantResult =>
        measured(`copy ${rate}/s`, { ladder: 'copy', ...(broken === undefined ? {} : { broken }) });
      const base = [step(100), step(500), step(1000), step(5000, 'p99 was 900 ms')];
      const head = [step(100), step(500, 'late')];
      expect(judgeBoth('perSecond<-5%', base, head).texts).toEqual([
        'copy 500/s: did not hold, as it did in the base run: late',
        'copy 1000/s: was not reached, and held in the base run',
      ]);
      // Nobody asked for the higher steps.
      expect(judgeBoth('perSecond<-5%', base, [step(100), step(500)]).isMet, 'the control').toBe(true);
    });

    test('by a variant that did nothing, or was another one before', () => {
      const idle = measured('copy');
      for (const rep of idle.reps) rep.perSecond = 0;
      expect(
        judgeBoth('perSecond<-5%', [measured('copy'), measured('naive')], [idle, measured('naive')]),
      ).toEqual({
        isMet: false,
        texts: ['copy: perSecond was not compared'],
      });
      const small = measured('copy', { labels: { batch: '1' } });
      expect(
        judgeBoth('perSecond<-5%', [small, measured('naive')], [measured('copy'), measured('naive')]).texts,
      ).toEqual(['copy: perSecond was not compared']);
    });

    test('by nothing that was not asked for', () => {
      const base = [measured('copy'), measured('naive')];
      expect(judgeBoth('perSecond<-5%', base, [measured('copy')]).isMet).toBe(true);
      expect(judgeBoth('naive.perSecond<-5%', base, [measured('copy')]).isMet, 'but for what is named').toBe(
        false,
      );
    });
  });

  test('needs a run to compare with', () => {
    const error = caught(() => judgeThresholds([parseThreshold('perSecond<-5%')], { result: RESULT }));
    expect(error.code).toBe('invalid_options');
  });
});

test('the figures to compare are those of the relative thresholds, once each', () => {
  const thresholds = parseThresholds(['perSecond<-5%', 'copy.perSecond<-1%', 'ackP99Ms<5', 'ack.p99>10%']);
  expect(figuresToCompare(thresholds)).toEqual(['perSecond', 'ack.p99']);
});
