/** The names of the ways to put a batch into Postgres, slowest first. */
export const WRITER_MODES = ['naive', 'buffered', 'bulk', 'unnest', 'copy'] as const;

export type WriterMode = (typeof WRITER_MODES)[number];
