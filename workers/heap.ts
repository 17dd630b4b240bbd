/** How much memory the isolate takes. */

interface PlatformProcess {
  memoryUsage?: () => { heapUsed: number };
}

/** Bytes of the heap that are in use; undefined where the platform does not tell. Cloudflare's does not. */
export function heapBytes(): number | undefined {
  try {
    const heapUsed = (globalThis as { process?: PlatformProcess }).process?.memoryUsage?.().heapUsed ?? 0;
    return heapUsed > 0 ? heapUsed : undefined;
  } catch {
    return undefined;
  }
}
