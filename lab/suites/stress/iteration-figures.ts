/** The figures of an iteration: before anything happened, and those that follow from others. */

import type { IterationFigures } from './iteration.ts';

/** All zero, and memory unknown. */
export function emptyFigures(iteration: number, epochs: number, concurrency: number): IterationFigures {
  return {
    iteration,
    epochs,
    concurrency,
    writeSeconds: 0,
    readSeconds: 0,
    generateSeconds: 0,
    encodeSeconds: 0,
    decodeSeconds: 0,
    successWrites: 0,
    failedWrites: 0,
    successReads: 0,
    failedReads: 0,
    clientPayloadBytes: 0,
    dbPayloadBytes: 0,
    dbRowBytes: 0,
    dbTableBytes: 0,
    writePeakBytes: null,
    readPeakBytes: null,
    writeRssBytes: null,
    readRssBytes: null,
  };
}

/** Figures that follow from others, in the units of the table. */
export function derivedFigures(figures: IterationFigures, isAsync: boolean): Record<string, number | null> {
  const { writeSeconds, readSeconds, generateSeconds, encodeSeconds, decodeSeconds } = figures;
  return {
    dbWriteSeconds: isAsync ? writeSeconds : Math.max(0, writeSeconds - generateSeconds - encodeSeconds),
    dbReadSeconds: isAsync ? readSeconds : Math.max(0, readSeconds - decodeSeconds),
    clientPayloadMib: mebibytes(figures.clientPayloadBytes),
    dbPayloadMib: mebibytes(figures.dbPayloadBytes),
    writePeakMib: mebibytes(figures.writePeakBytes),
    readPeakMib: mebibytes(figures.readPeakBytes),
    writeRssMib: mebibytes(figures.writeRssBytes),
    readRssMib: mebibytes(figures.readRssBytes),
  };
}

function mebibytes(bytes: number | null): number | null {
  return bytes === null ? null : bytes / 2 ** 20;
}
