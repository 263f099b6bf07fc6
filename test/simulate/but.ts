/** The same object, but for `changes`. Its own methods keep their `this`: they do not meet the changed ones. */
export function but<T extends object>(inner: T, changes: Partial<T>): T {
  return new Proxy(inner, {
    get(of, name) {
      if (Object.hasOwn(changes, name)) return changes[name as keyof T]
      const value = Reflect.get(of, name, of)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
}
