/** The date of workerd's behaviour that Sluice is tested with; wrangler.toml has the same, and what `sluice init` writes. */
export const COMPATIBILITY_DATE = '2026-10-15';
