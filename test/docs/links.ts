// Links of a Markdown document: inline ones, and references with their definitions. Knows no document.

export interface Link {
  readonly text: string;
  readonly target: string;
  readonly title: string | undefined;
}

/** Code is no place for links. */
function withoutCode(document: string): string {
  return document.replaceAll(/^```[\s\S]*?^```$/gm, '');
}

/** `[key]: target "title"`. */
export function definitions(document: string): ReadonlyMap<string, Omit<Link, 'text'>> {
  const found = new Map<string, Omit<Link, 'text'>>();
  for (const [, key = '', target = '', title] of withoutCode(document).matchAll(
    /^\[([\w-]+)\]: (\S+)(?: "([^"]*)")?$/gm,
  )) {
    if (found.has(key)) throw new Error(`[${key}] is defined twice`);
    found.set(key, { target, title });
  }
  return found;
}

/** The links of a text, whose references are looked up in the definitions of its document. */
export function links(text: string, defined: ReadonlyMap<string, Omit<Link, 'text'>>): Link[] {
  return [...withoutCode(text).matchAll(/\[((?:`[^`]*`|[^\]`])+)\](?:\(([^)\s]+)\)|\[([\w-]+)\])/g)].map(
    ([, label = '', inline, key]) => {
      if (inline !== undefined) return { text: label, target: inline, title: undefined };
      const definition = defined.get(key ?? '');
      if (definition === undefined) throw new Error(`[${label}][${key}] leads nowhere`);
      return { text: label, ...definition };
    },
  );
}

/** The anchors that a document's headings make, as GitHub does. */
export function anchors(document: string): readonly string[] {
  return [...withoutCode(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  );
}
