/** A real Chromium for tests of pages, and what axe says of a page. */

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Page } from 'playwright-core';

// Chromium refuses to run as root with its sandbox; it sees nothing but the page under test.
export const CHROMIUM_ARGS: readonly string[] = process.getuid?.() === 0 ? ['--no-sandbox'] : [];

/** @throws Error that says what to install where there is no Chromium; such tests do not skip themselves */
export function chromiumPath(): string {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (existsSync(path)) return path;
  throw new Error(
    `These tests need Chromium, and there is none at ${path}: install Debian's package chromium, or name another one in the variable CHROMIUM`,
  );
}

/** @throws Error like `chromiumPath` */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: [...CHROMIUM_ARGS] });
}

interface AxeResult {
  passes: { id: string }[];
  violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with a page as it stands, each with the element; and how many rules it could check. */
export async function axeFindings(page: Page): Promise<{ violations: string[]; passes: number }> {
  // By the debugger's door: the page's own policy would let no script in.
  await page.evaluate(AXE);
  const { passes, violations } = (await page.evaluate('axe.run(document)')) as AxeResult;
  return {
    passes: passes.length,
    violations: violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary = '' }) => `${id}: ${help}\n${html}\n${failureSummary}`),
    ),
  };
}
