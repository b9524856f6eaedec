/** What `console.log` shows of our objects: nearly all of them keep what they are in private fields, which it does not see. */

/** By its registered name: no module has to be loaded for it. */
const CUSTOM = Symbol.for('nodejs.util.inspect.custom');

/**
 * Has the objects of a class shown as `say` puts it: text stands behind the name, an object in its place. Of a prototype or a
 * proxy, of which `say` can make nothing, there is the name alone: to be shown must not throw.
 */
export function shown<T extends object>(name: string, Class: { readonly prototype: T }, say: (self: T) => unknown): void {
  const show = function (this: T): unknown {
    try {
      const said = say(this);
      return typeof said === 'string' ? `${name}(${said})` : said;
    } catch {
      return `[${name}]`;
    }
  };
  Object.defineProperty(Class.prototype, CUSTOM, { value: show, writable: true, configurable: true });
}
