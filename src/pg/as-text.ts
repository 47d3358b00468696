// The type parsers of the pool's own questions: values as the text they came as, whatever parsers the user has set.

export const AS_TEXT: { readonly getTypeParser: () => (value: string) => string } = {
  getTypeParser: () => (value) => value,
};
