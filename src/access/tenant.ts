/** The name of a tenant. */

import { SluiceError } from '../core/errors.ts';
import { MAX_TENANT_LENGTH } from '../core/limits.ts';

const TENANT_NAME = /^[A-Za-z0-9._-]+$/;

/** Tells whether something may name a tenant: a text of 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
export function isTenantName(name: unknown): boolean {
  return typeof name === 'string' && name.length <= MAX_TENANT_LENGTH && TENANT_NAME.test(name);
}

/**
 * Checks the tenant that an address names.
 *
 * @throws SluiceError `invalid_options`
 */
export function assertTenantName(tenant: string): void {
  if (isTenantName(tenant)) return;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(tenant.slice(0, 40))} as a tenant: 1 to ${MAX_TENANT_LENGTH} characters of A-Z a-z 0-9 . _ - are allowed`,
    { details: { option: 'tenant', allowed: TENANT_NAME.source, maxLength: MAX_TENANT_LENGTH } },
  );
}
