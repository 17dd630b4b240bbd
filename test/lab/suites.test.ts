import { describe, expect, test } from 'vitest';
import type { Suite } from '../../lab/suite.ts';
import { SUITES } from '../../lab/suites.ts';
import { resolveOptions } from '../../src/core/option-table.ts';

describe.each(Object.entries(SUITES))('the suite %s', (key, suite) => {
  test('is listed under its own name', () => {
    expect(suite.name).toBe(key);
  });

  test.each(Object.entries(suite.presets))('has a preset %s that its parameters accept', (_, preset) => {
    expect(resolveOptions(suite.parameters, preset)).toMatchObject(preset);
  });

  test('has variants with their own names and descriptions', () => {
    const variants = (suite as unknown as Suite).variants(resolveOptions(suite.parameters, {}));
    expect(new Set(variants.map(({ name }) => name)).size).toBe(variants.length);
    expect(new Set(variants.map(({ description }) => description)).size).toBe(variants.length);
    expect(variants.length).toBeGreaterThan(1);
  });

  test('describes every parameter in one line', () => {
    for (const { description } of Object.values(suite.parameters))
      expect(description).toMatch(/^\S[^\n]*\S$/);
  });
});
