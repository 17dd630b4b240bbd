/** What a platform can tell of the heap. A Durable Object can tell nothing, so there is no meter inside one. */
export interface HeapMeter {
  /**
   * Bytes that were allocated on the heap while `work` ran, what was collected meanwhile included. Memory outside of the
   * heap, as that of buffers, is not in it.
   */
  allocatedBy(work: () => Promise<void>): Promise<number>;
  /** Collects what nobody refers to, and returns the bytes that are in use. */
  usedBytes(): number;
}
