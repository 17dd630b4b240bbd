/**
 * Names of members that only the client's own files use: the bundle has shorter ones. A name that is missing here costs a
 * few bytes. A name that does not belong here, because a user, the server, a storage or the platform reads it, is found by
 * test/local/build/client-bundle.test.ts.
 */
export const INTERNAL_NAMES: readonly string[] = `
  admitBlocked aside askedForAck askedMs awaitProgress batchFrom blocked byeMs calls connect connection
  counts cursor cut cutBatch defer disconnect doubts doubtUpTo drainUntilMs dropAbove dropOldest
  dropOversized emit end endError endIfDone ending enqueue erroredMs finish finishRefused fits flushUpTo
  forgetTrouble giveUp goOn hasFlushes hasRoom heardMs hurry insert intake isAllSent isClosing isDone isDue
  isEmpty isFlushDue isForgotten isIdle isKept isKnown isLate isOpen isOwn isPaused isRecovered isSet
  isWelcomed keep leftBlocked markSent maxBytes maxMessages onFailure onProgress openedMs outBytes
  outMessages outSinceMs overError own progressMs promise protocolError pump reach receive receiver recovery
  refuse refuseCall refusedCount refuseSequence refuseTooLarge rejectAll restart restore resumeSending
  rewind rewoundTo rollback saved saving sayBye schedule sender sentHere setAsideRun settings settle
  sizeAt skip socket stop takeJoined textAt ticket ticketOf total transmit trimDroppedEnd trimmed truncate
  unsavedSession unsettledCount waiting window
`
  .trim()
  .split(/\s+/);
