/** Who a message is for. */

import { kindOf, list, millis, options, text, wrongType, wrongValue } from './arguments';
import { call } from './errors';
import { type core, native } from './native';
import { shown } from './showing';

/** A boolean expression over labels. `not`, `and` and `or` change it in place, and return it. */
export class LabelOp {
  #op: core.LabelOp;

  /** Of a string the endpoints whose label holds it, of `true` all endpoints, of `false` none. */
  constructor(value: boolean | string) {
    if (typeof value === 'boolean') {
      this.#op = native.LabelOp.constant(value);
    } else if (typeof value === 'string') {
      this.#op = leaf(value);
    } else {
      throw wrongType('value', value, 'give a string, true or false');
    }
  }

  /** What `toString` gave: `a & (b | !c)`. */
  static parse(expression: string): LabelOp {
    const made = new LabelOp(false);
    made.#op = call(() => native.LabelOp.parse(text('expression', expression)));
    return made;
  }

  not(): this {
    this.#op = call(() => this.#op.not());
    return this;
  }

  and(other: LabelOp | string | boolean): this {
    const op = operand('other', other);
    this.#op = call(() => this.#op.and(op));
    return this;
  }

  or(other: LabelOp | string | boolean): this {
    const op = operand('other', other);
    this.#op = call(() => this.#op.or(op));
    return this;
  }

  /** Whether an endpoint with this label is meant. */
  matches(label: readonly string[]): boolean {
    const elements = labels('label', label);
    return call(() => this.#op.matches(elements));
  }

  toString(): string {
    return this.#op.text();
  }

  /** @internal */
  static of(op: core.LabelOp): LabelOp {
    const made = new LabelOp(false);
    made.#op = op;
    return made;
  }

  /** @internal */
  static native(value: unknown): core.LabelOp | undefined {
    return typeof value === 'object' && value !== null && #op in value ? value.#op : undefined;
  }
}

shown('LabelOp', LabelOp, (op) => op.toString());

/** Those of strings that were sent to lately: native ones do not change, and making one costs more than a message. */
const leaves = new Map<string, core.LabelOp>();
const LEAVES = 256;

function leaf(element: string): core.LabelOp {
  let op = leaves.get(element);
  if (!op) {
    op = call(() => native.LabelOp.leaf(text('label element', element)));
    if (leaves.size === LEAVES) leaves.clear();
    leaves.set(element, op);
  }
  return op;
}

function operand(argument: string, value: unknown): core.LabelOp {
  if (typeof value === 'string') return leaf(value);
  if (typeof value === 'boolean') return native.LabelOp.constant(value);
  const op = LabelOp.native(value);
  if (!op) throw wrongType(argument, value, 'give a LabelOp, a string, true or false');
  return op;
}

/** The elements of a label. */
export function labels(argument: string, value: readonly string[] | undefined): string[] {
  const bound = 'give an array of strings';
  return list(argument, value, bound).map((element, index) => text(`${argument}[${index}]`, element));
}

/** Who gets a message among those who match. */
export enum SelectorMode {
  /** Exactly one. */
  Unicast = 0,
  /** Every one. */
  Multicast = 1,
}

/** Where a message goes. */
export interface Selector {
  /** Who is meant; a string means those whose label holds it. */
  labelOp: LabelOp | string | boolean;
  /** One of them (this if left out) or all. */
  mode?: SelectorMode;
  /** Milliseconds that the message waits while nobody matches, 0 if left out; null and `Infinity` are for ever. */
  ttl?: number | null;
}

/** A selector that was checked. */
export interface Target {
  readonly op: core.LabelOp;
  readonly multicast: boolean;
  readonly ttl: number;
}

const SELECTOR = ['labelOp', 'mode', 'ttl'] as const;

export function target(selector: unknown): Target {
  if (typeof selector === 'string' || LabelOp.native(selector)) return { op: operand('selector', selector), multicast: false, ttl: 0 };
  if (typeof selector !== 'object' || selector === null || Array.isArray(selector)) {
    throw wrongType('selector', selector, 'give {labelOp, mode, ttl}, a LabelOp or a string');
  }
  const { labelOp, mode, ttl } = options('selector', selector as Selector, SELECTOR);
  if (labelOp === undefined) throw new TypeError(`selector is ${kindOf(selector)} without labelOp: give who is meant`);
  if (mode !== undefined && mode !== SelectorMode.Unicast && mode !== SelectorMode.Multicast) {
    throw wrongValue('mode', mode, 'give SelectorMode.Unicast or SelectorMode.Multicast');
  }
  return {
    op: operand('labelOp', labelOp),
    multicast: mode === SelectorMode.Multicast,
    ttl: ttl === undefined ? 0 : millis('ttl', ttl),
  };
}
