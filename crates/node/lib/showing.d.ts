/** What `console.log` shows of our objects: nearly all of them keep what they are in private fields, which it does not see. */
/**
 * Has the objects of a class shown as `say` puts it: text stands behind the name, an object in its place. Of a prototype or a
 * proxy, of which `say` can make nothing, there is the name alone: to be shown must not throw.
 */
export declare function shown<T extends object>(name: string, Class: {
    readonly prototype: T;
}, say: (self: T) => unknown): void;
