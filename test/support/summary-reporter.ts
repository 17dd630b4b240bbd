/** Ends a test run with one plain line that any CI can read: `12 passed, 0 failed, 1 skipped`. */

import type { Reporter, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      const before = counts.failed;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') counts[state] += 1;
      }
      // A file that could not even be loaded has no tests to count; it failed all the same.
      if (module.state() === 'failed' && counts.failed === before) counts.failed += 1;
    }
    // Behind the default reporter's own summary, which is written after this hook.
    process.once('exit', () => {
      process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
    });
  }
}
