/** Ending a wait from outside, by an `AbortSignal`. */

import { options, wrongType } from './arguments';
import { guarded } from './waiting';

/** A wait that can be ended. */
export interface Abortable {
  /** Ends the wait when it is aborted: what was returned rejects with its reason. */
  signal?: AbortSignal | null | undefined;
}

/** Whether something behaves like a signal: polyfills, and other contexts, have classes of their own. */
function isSignal(value: object): value is AbortSignal {
  try {
    const { aborted, addEventListener, removeEventListener } = value as AbortSignal;
    return typeof aborted === 'boolean' && [addEventListener, removeEventListener].every((one) => typeof one === 'function');
  } catch {
    return false;
  }
}

export function signal(value: AbortSignal | null | undefined): AbortSignal | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || !isSignal(value)) throw wrongType('signal', value, 'give an AbortSignal');
  return value;
}

/** The signal of options that hold nothing else. */
export function signalOf(given: Abortable | undefined): AbortSignal | undefined {
  // It has no names of its own that would tell.
  if (typeof given === 'object' && given !== null && isSignal(given)) throw wrongType('options', given, 'give {signal}');
  return signal(options('options', given, ['signal']).signal);
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}

type End = (reason: unknown) => void;

/**
 * What each signal ends. It has one listener for all of them: taking off one of many takes the longer the more there are, and
 * Node 18 warns of the eleventh.
 */
const signals = new WeakMap<AbortSignal, { readonly ends: Set<End>; readonly listener: () => void }>();

function listen(signal: AbortSignal): Set<End> {
  const ends = new Set<End>();
  const listener = (): void => {
    signals.delete(signal);
    for (const end of ends) guarded(() => end(signal.reason));
  };
  signals.set(signal, { ends, listener });
  signal.addEventListener('abort', listener, { once: true });
  return ends;
}

/**
 * Has `end` called once when a signal that is not aborted yet is. The function that comes back ends that; calling it late, or
 * twice, is fine.
 */
export function onAbort(signal: AbortSignal | undefined, end: End): () => void {
  if (!signal) return () => {};
  const ends = signals.get(signal)?.ends ?? listen(signal);
  ends.add(end);
  return () => {
    ends.delete(end);
    const known = signals.get(signal);
    if (known?.ends !== ends || ends.size > 0) return;
    signals.delete(signal);
    signal.removeEventListener('abort', known.listener);
  };
}
