/** Sign-ups that are confirmed by a code, once and within an hour (dcb.events, "Opt-in token"). */

import { type DecisionStore, decide, projection, type Stored } from 'sluice/events';

type SignUpEvent = {
  type: 'SignUpInitiated' | 'SignUpConfirmed';
  data: { emailAddress: string; otp: string; name: string };
};

interface SignUp {
  name: string;
  isUsed: boolean;
}

const MAX_AGE_MINUTES = 60;

export function signUp(type: SignUpEvent['type'], emailAddress: string, otp: string, name: string) {
  return { type, data: { emailAddress, otp, name }, tags: [`email:${emailAddress}`, `otp:${otp}`] };
}

const pendingSignUp = (emailAddress: string, otp: string) =>
  projection({
    query: [{ types: ['SignUpInitiated', 'SignUpConfirmed'], tags: [`email:${emailAddress}`, `otp:${otp}`] }],
    initial: undefined as SignUp | undefined,
    apply(pending, { type, data, metadata }: Stored<SignUpEvent>) {
      if (type === 'SignUpConfirmed') return pending && { ...pending, isUsed: true };
      const isExpired = Number(metadata?.minutesAgo ?? 0) > MAX_AGE_MINUTES;
      return isExpired ? undefined : { name: data.name, isUsed: false };
    },
  });

export function confirmSignUp(store: DecisionStore<unknown>, emailAddress: string, otp: string) {
  return decide(store, pendingSignUp(emailAddress, otp), (pending) => {
    if (pending === undefined) throw new Error('No pending sign-up for this OTP / email address');
    if (pending.isUsed) throw new Error('OTP was already used');
    return signUp('SignUpConfirmed', emailAddress, otp, pending.name);
  });
}
