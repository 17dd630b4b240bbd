/**
 * A copy of the state of an earlier run, as deep as it is data: objects without a class, arrays, maps, sets and dates. What
 * has its own class stands in the copy as it is, because without the class it would be something else.
 */
export function copiedState<State>(state: State): State {
  return copyOf(state, new Map()) as State;
}

/** @param copies of what was met already: a state may refer to itself */
function copyOf(value: unknown, copies: Map<unknown, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = copies.get(value);
  if (known !== undefined) return known;
  const keep = <Copy>(copy: Copy): Copy => {
    copies.set(value, copy);
    return copy;
  };
  switch (Object.getPrototypeOf(value)) {
    case Object.prototype:
    case null: {
      const copy = keep(Object.create(Object.getPrototypeOf(value)) as object);
      // Not by assignment: that would set the prototype where a field is named `__proto__`.
      for (const [name, field] of Object.entries(value))
        Object.defineProperty(copy, name, {
          value: copyOf(field, copies),
          enumerable: true,
          configurable: true,
          writable: true,
        });
      return copy;
    }
    case Array.prototype: {
      const copy = keep([] as unknown[]);
      for (const item of value as unknown[]) copy.push(copyOf(item, copies));
      return copy;
    }
    case Map.prototype: {
      const copy = keep(new Map<unknown, unknown>());
      for (const [key, item] of value as Map<unknown, unknown>)
        copy.set(copyOf(key, copies), copyOf(item, copies));
      return copy;
    }
    case Set.prototype: {
      const copy = keep(new Set<unknown>());
      for (const item of value as Set<unknown>) copy.add(copyOf(item, copies));
      return copy;
    }
    case Date.prototype:
      return keep(new Date(value as Date));
    default:
      return value;
  }
}
