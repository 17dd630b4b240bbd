/**
 * Names of members that only the client's own files use: the bundle has shorter ones. A name that is missing here costs a
 * few bytes. A name that does not belong here, because a user, the server, a storage or the platform reads it, is found by
 * test/local/build/client-bundle.test.ts.
 */
export const INTERNAL_NAMES: readonly string[] = `
  amount clock keeper utf8Size
  ackLevel ackedUpTo admitBlocked aside askedForAck askedMs awaitProgress batchFrom blocked buffer byeMs callKind
  call calls connect connection counts creditNow cursor cut cutBatch cutBatches defer discardText discards disconnect
  doubtUpTo doubts drainUntilMs dropAbove dropDoubts dropOldest dropOversized emit end endError endIfDone ending
  enqueue erroredMs failuresInARow finish finishRefused fits flushUpTo forgetTrouble frameLimits giveUp goOn
  hasFlushes hasRoom heardMs hurry insert intake isAllSent isClosing isDone isDue isEmpty isFlushDue isForgotten
  isIdle isKept isKnown isLate isOpen isOwn isPaused isRecovered isSet isWelcomed keep lastTaken leftBlocked link
  markSent maxBytes maxMessages maxSentHere mostBytes onDone onFailure onProgress openedMs outBytes outMessages outSinceMs
  overError own progressMs promise protocolError pump putAside reach receive receiver recovery refusals refuse
  refuseCall refuseSequence refuseTooLarge refusedCount rejectAll restart restore restoredCount renew resumeSending rewind
  rewoundTo rollback saved saving sayBye schedule search sender sentHere sentUpTo setAsideRun settings settle sizeAt
  skip socket stop storedHere takeJoined textAt callOf total transmit trimDroppedEnd trimmed truncate
  unsavedSession unsettledCount waiting window
`
  .trim()
  .split(/\s+/);
